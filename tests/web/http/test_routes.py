"""What every route declares: its scope and its tag."""

from pathlib import Path

import pytest
from flask import Flask

from gymserve.accounts.identity import SCOPES
from gymserve.settings import Settings
from gymserve.web.app import create_app
from gymserve.web.http.access import PUBLIC, role_for
from gymserve.web.http.blueprint import Blueprint


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return create_app(Settings(DATA=str(tmp_path_factory.mktemp("data"))))


def test_every_blueprint_has_a_scope_and_a_tag(app: Flask) -> None:
    for name, blueprint in app.blueprints.items():
        assert isinstance(blueprint, Blueprint), name
        assert blueprint.scope is None or blueprint.scope in SCOPES, name
        assert blueprint.tag, name


def test_every_route_is_public_or_needs_a_scope(app: Flask) -> None:
    """Tickets have the scopes of the key that requests them, so any key may request one."""
    for rule in app.url_map.iter_rules():
        blueprint = app.blueprints.get(rule.endpoint.rpartition(".")[0])
        scope = blueprint.scope if isinstance(blueprint, Blueprint) else None
        assert scope is not None or role_for(app, rule.endpoint) == PUBLIC or rule.endpoint == "tickets.create", rule


def test_nothing_but_create_app_knows_the_dialects() -> None:
    web = Path(__file__).parents[3] / "gymserve" / "web"
    for path in web.rglob("*.py"):
        if path.name != "app.py" and "dialects" not in path.parts:
            assert "web.dialects" not in path.read_text(), path
