"""The v1 API: environment instances over HTTP, as openai/gym-http-api's clients call them, and what came since."""

from flask import Blueprint, Response, current_app, g, request
from werkzeug.local import LocalProxy

from grader.challenge_servers import NOT_OPEN
from grader.submissions import Closed, Submissions
from gymserve import spaces
from gymserve.hosts.instances import Instances
from gymserve.recording import monitor
from gymserve.web import challenges, parameters, schemas
from gymserve.web.access import ADMIN, actor, allow, check_scope, identity
from gymserve.web.answers import json_answer, no_content
from gymserve.web.openapi import IN_INSTANCE, documented

v1 = Blueprint("v1", __name__, url_prefix="/v1")
submissions: Submissions = LocalProxy(lambda: current_app.extensions["submissions"])  # type: ignore[assignment]
instances: Instances = LocalProxy(lambda: current_app.extensions["instances"])  # type: ignore[assignment]


@v1.post("/envs/")
@documented(
    schemas.Created,
    body=schemas.Create,
    errors=(422, 500, 507),
    headers={"Idempotency-Key": "the same key again gives the same instance"},
)
def create() -> Response:
    """Create an instance; of `challenge:<name>`: begin a submission."""
    asked = parameters.of_request()
    env_id = parameters.required(asked, "env_id")
    by_key = g.get("by_body", False)
    if (held := challenges.asked_for(env_id, by_key=by_key)) is not None:
        check_scope(identity, "submissions")
        return json_answer(challenges.submit(held, identity, entrant=asked.get("entrant"), alone=by_key))
    if identity.remote_key is not None:
        raise Closed(NOT_OPEN)  # such accounts are here for challenges
    token = instances.create(
        env_id,
        seed=asked.get("seed"),
        kwargs=asked.get("kwargs"),
        max_episode_steps=asked.get("max_episode_steps"),
        render_mode=asked.get("render_mode"),
        num_envs=asked.get("num_envs") or 1,
        autoreset_mode=asked.get("autoreset_mode"),
        idempotency_key=request.headers.get("Idempotency-Key"),
        account=identity.account_id,
        alone=by_key,
    )
    return json_answer({"instance_id": token, "token": token})


@v1.get("/envs/")
@documented(schemas.Instances)
def list_all() -> Response:
    """List one's own instances, or all for administrators."""
    return json_answer({"all_envs": instances.list(None if identity.sees_all else identity.account_id)})


@v1.get("/envs/<instance_id>/")
@documented(schemas.Instance, errors=IN_INSTANCE)
def describe(instance_id: str) -> Response:
    """Describe an instance: what it is and how it is doing."""
    return json_answer(instances.describe(instance_id))


@v1.post("/envs/<instance_id>/reset/")
@documented(schemas.Observation, body=schemas.Reset, body_needed=False, errors=IN_INSTANCE)
def reset(instance_id: str) -> Response:
    """Start an episode."""
    asked = parameters.optional_of_request()
    return json_answer(
        instances.reset(instance_id, seed=asked.get("seed"), options=asked.get("options"), seq=asked.get("seq"))
    )


@v1.post("/envs/<instance_id>/step/")
@documented(schemas.Stepped, body=schemas.Step, errors=IN_INSTANCE)
def step(instance_id: str) -> Response:
    """Act once."""
    # Requests of the usual form never get here: they take the fast lane (`lane.py`).
    asked = parameters.of_request()
    return json_answer(instances.step(instance_id, parameters.required(asked, "action"), seq=asked.get("seq")))


@v1.get("/envs/<instance_id>/render")
@documented("image/png", errors=IN_INSTANCE)
def render(instance_id: str) -> Response:
    """Draw the current state."""
    return Response(instances.render(instance_id), content_type="image/png")


@v1.get("/envs/<instance_id>/action_space/")
@documented(schemas.Space, errors=IN_INSTANCE)
def action_space(instance_id: str) -> Response:
    """Describe the action space."""
    return json_answer({"info": instances.describe(instance_id)["action_space"]})


@v1.get("/envs/<instance_id>/action_space/sample")
@documented(schemas.Action, errors=IN_INSTANCE)
def sample(instance_id: str) -> Response:
    """Draw a random action."""
    return json_answer({"action": instances.sample(instance_id)})


@v1.get("/envs/<instance_id>/action_space/contains/<path:x>")
@documented(schemas.Member, errors=IN_INSTANCE)
def contains(instance_id: str, x: str) -> Response:
    """Ask whether something is an action."""
    return json_answer({"member": instances.contains(instance_id, x)})


@v1.get("/envs/<instance_id>/observation_space/")
@documented(schemas.Space, errors=IN_INSTANCE)
def observation_space(instance_id: str) -> Response:
    """Describe the observation space."""
    return json_answer({"info": instances.describe(instance_id)["observation_space"]})


@v1.post("/envs/<instance_id>/observation_space/contains")
@documented(schemas.Member, body=schemas.Description, errors=IN_INSTANCE)
def observation_space_contains(instance_id: str) -> Response:
    """Ask whether the observation space is described by these keys."""
    asked = parameters.of_request()
    return json_answer({"member": spaces.member(instances.describe(instance_id)["observation_space"], asked)})


@v1.post("/envs/<instance_id>/monitor/start/")
@documented(status=204, body=schemas.MonitorStart, errors=IN_INSTANCE)
def monitor_start(instance_id: str) -> Response:
    """Start monitoring."""
    asked = parameters.of_request()
    directory = monitor.label(parameters.required(asked, "directory"))
    force, resume = parameters.boolean(asked, "force"), parameters.boolean(asked, "resume")
    options = {
        "directory": directory,
        "force": force,
        "resume": resume,
        "video_callable": monitor.video_rule(asked.get("video_callable")),
    }
    monitor.check(instances.folder(instance_id), directory, force=force, resume=resume)
    instances.monitor(instance_id, options)
    monitor.begin(instances.folder(instance_id), directory, force=force)
    return no_content()


@v1.post("/envs/<instance_id>/monitor/close/")
@documented(status=204, also={200: schemas.Finished}, errors=IN_INSTANCE)
def monitor_close(instance_id: str) -> Response:
    """Stop monitoring; the instance stays. A submission ends with it, and its score is the answer's `reward`."""
    if (row := submissions.with_token(instance_id)) is not None:
        row = submissions.finish(row)
        current_app.extensions["background"].wake()
        return json_answer({"reward": row.score, "submission_id": row.name, "reason": row.reason})
    instances.monitor(instance_id, None)
    monitor.write(instances.folder(instance_id), current_app.extensions["media"])
    return no_content()


@v1.post("/envs/<instance_id>/close/")
@documented(status=204, errors=IN_INSTANCE)
def close(instance_id: str) -> Response:
    """Close the instance; a submission ends as it stands."""
    if (row := submissions.with_token(instance_id)) is not None:
        submissions.leave(row)
        current_app.extensions["background"].wake()
    else:
        monitor.write(instances.close(instance_id), current_app.extensions["media"])
    return no_content()


@v1.post("/upload/")
@documented(status=204, body=schemas.Upload)
def upload() -> Response:
    """Keep the results of a monitored run."""
    asked = parameters.of_request()
    directory = monitor.label(parameters.required(asked, "training_dir"))
    parameters.required(asked, "api_key")
    account = 0 if identity.sees_all else identity.account_id
    monitor.keep(instances.pool.data, directory, algorithm=asked.get("algorithm_id"), account=account)
    return no_content()


@v1.post("/shutdown/")
@allow(ADMIN)
@documented("text/html")
def shutdown() -> Response:
    """Shut the server down."""
    current_app.extensions["accounts"].note(actor(), "shutdown", "the server")
    current_app.extensions["shutdown"]()
    return Response("Server shutting down", content_type="text/html; charset=utf-8")


@v1.get("/environments/")
@documented(schemas.Catalogue)
def environments() -> Response:
    """List the catalogue."""
    return json_answer({"environments": instances.listing.rows()})


@v1.get("/environments/<path:env_id>/")
@documented(schemas.Row)
def environment(env_id: str) -> Response:
    """Describe one environment, with its spaces."""
    return json_answer(instances.listing.row(env_id))
