"""Pages of environments: the catalogue, and one environment with its spaces, how to use it, and a place to play it."""

from flask import Response, render_template, request

from gymserve.grader.server.competitions.competition import ChallengeRecord
from gymserve.protocol.errors import NotFound, UnknownEnvironment
from gymserve.store.models import now
from gymserve.web.environments import words
from gymserve.web.http.access import PUBLIC, allow, identity
from gymserve.web.http.answers import json_answer
from gymserve.web.http.backend import backend, grading
from gymserve.web.http.browser import Pages, for_accounts, visitor

blueprint = Pages("environment_pages")


@blueprint.get("/environments/")
@allow(PUBLIC)
def list_all() -> str:
    """Show the catalogue, by default what is installed."""
    search, family = request.args.get("search", "").strip(), request.args.get("family", "")
    catalogue = backend().instances.catalogue
    every = [row | {"family": words.family(row["id"])} for row in catalogue.rows(catalogue.ids())]
    rows = [
        row
        for row in every
        if search.lower() in f"{row['id']} {' '.join(row['aliases'])}".lower()
        and family in ("", row["family"])
        and (row["missing"] is None or request.args.get("all"))
    ]
    return render_template(
        "environments/list.html",
        rows=sorted(rows, key=lambda row: (row["missing"] is not None, str(row["id"]).lower())),
        families=sorted({row["family"] for row in every}),
        hidden=0 if request.args.get("all") else sum(row["missing"] is not None for row in every),
        search=search,
        family=family,
    )


@blueprint.get("/environments/<path:env_id>/")
@allow(PUBLIC)
def show(env_id: str) -> str:
    """Show one environment."""
    try:
        row = backend().instances.listing.row(env_id)
    except UnknownEnvironment as error:
        raise NotFound(str(error)) from error
    actions, observations = row.get("action_space", {}), row.get("observation_space", {})
    return render_template(
        "environments/environment.html",
        row=row,
        family=words.family(row["id"]),
        actions=words.space(actions),
        action_bounds=words.bounds(actions),
        observations=words.space(observations),
        observation_bounds=words.bounds(observations),
        action_names=words.action_names(row["id"], actions),
        action_space=actions,
        challenges=[record.challenge for record in _challenges(row["id"])],
        can_play=visitor() is not None,
        server=request.host_url.rstrip("/") + request.script_root,
    )


def _challenges(env_id: str) -> list[ChallengeRecord]:
    """List the open challenges with an environment."""
    records, at = grading().competition.list(), now()
    return [each for each in records if each.may_submit(at) and each.challenge.environment == env_id]


@blueprint.post("/environments/<path:env_id>/play")
@for_accounts
def play(env_id: str) -> Response:
    """Make an instance for the page's player, whose token is sufficient by itself."""
    modes = backend().instances.listing.row(env_id).get("render_modes", [])
    token = backend().instances.create(
        env_id,
        render_mode="rgb_array" if "rgb_array" in modes else None,
        account=identity().account_id,
        alone=True,
    )
    return json_answer({"token": token, "pictures": "rgb_array" in modes})
