"""A server with accounts, where organisers may train."""

from collections.abc import Iterator

import pytest

from tests.training.conftest import Trainer
from tests.web.training.visitors import ADMIN, ORGANISER, OTHER


@pytest.fixture(scope="package")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainer]:
    """A server with accounts, where organisers may train."""
    settings = {"AUTH": "token", "LOGIN_ATTEMPTS": 1000, "TRAINING_ROLE": "organiser"}
    started = Trainer(tmp_path_factory.mktemp("training"), **settings)
    _, started.key = started.account(ORGANISER, "organiser")
    started.account(OTHER)
    started.account(ADMIN, "admin")
    yield started
    started.stop()
    started.end_experiments()
