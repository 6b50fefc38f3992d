"""The v1 API: environment instances over HTTP, compatible with openai/gym-http-api's clients."""

import time

import msgspec
from flask import Response, g, request

from gymserve.grader.server.reports import NOT_OPEN
from gymserve.grader.server.submissions.lifecycle import NotOpen
from gymserve.hosts.messages import AdmitStorage
from gymserve.protocol import spaces, wire
from gymserve.recording import monitor
from gymserve.web.challenges import api as challenges
from gymserve.web.challenges.schemas import BegunSubmission
from gymserve.web.http import parameters
from gymserve.web.http.access import ADMIN, actor, allow, caller, check_scope, identity, key_in_body, large
from gymserve.web.http.answers import JSON, MSGPACK, json_answer, no_content
from gymserve.web.http.backend import backend, grading
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.openapi import IN_INSTANCE, documented
from gymserve.web.instances import parameters as instance_parameters
from gymserve.web.instances import schemas
from gymserve.web.instances.parameters import form_of_request, parse
from gymserve.web.serving import lending
from gymserve.web.serving import server as serving

blueprint = Blueprint("v1", scope="environments", tag="Instances", url_prefix="/v1")
BOTH = (JSON, MSGPACK)


@blueprint.post("/envs/")
@key_in_body("token")
@documented(
    (schemas.CreatedInstance, MSGPACK),
    body=schemas.NewInstance,
    accepts=BOTH,
    errors=(422, 500, 507),
    headers={"Idempotency-Key": "repeating a key returns the same instance"},
    query={"describe": "full or short: add the instance's description; short has `bounds=short`"},
)
def create() -> Response:
    """Create an instance, or begin a submission if `env_id` is `challenge:<name>`."""
    params = parse(schemas.NewInstance, allows_msgpack=True)
    describe = parameters.choice("describe", "", "full", "short")
    by_key = g.get("by_body", False)
    if (record := challenges.requested_challenge(params.env_id, by_key=by_key)) is not None:
        check_scope(identity(), "submissions")
        submission = challenges.submit(record, identity(), entrant=params.entrant, by_key=by_key)
        return _created(submission, describe)
    if identity().remote_key is not None:
        raise NotOpen(NOT_OPEN)  # accounts of a challenge server may only submit
    token = backend().instances.create(
        params.env_id,
        seed=params.seed,
        kwargs=params.kwargs,
        max_episode_steps=params.max_episode_steps,
        render_mode=params.render_mode,
        num_envs=params.num_envs,
        autoreset_mode=params.autoreset_mode,
        wrappers=params.wrappers,
        idempotency_key=request.headers.get("Idempotency-Key"),
        account=identity().account_id,
        alone=by_key,
    )
    return _created(schemas.CreatedInstance(token, token), describe)


def _created(instance: schemas.CreatedInstance | BegunSubmission, describe: str) -> Response:
    answer: object = instance
    if describe:
        description = backend().instances.describe(instance.instance_id, short=describe == "short")
        answer = msgspec.structs.asdict(instance) | {"description": description}
    if form_of_request().msgpack:
        return Response(wire.pack(answer), content_type=MSGPACK)
    return json_answer(answer)


@blueprint.get("/envs/")
@documented(schemas.InstanceList)
def list_all() -> Response:
    """List your instances; administrators see all."""
    return json_answer({"all_envs": backend().instances.list(None if identity().sees_all else identity().account_id)})


@blueprint.get("/envs/<instance_id>/")
@documented(
    schemas.InstanceCard,
    errors=IN_INSTANCE,
    query={"bounds": "short: give a Box's bounds as one number if they are the same for all elements"},
)
def describe(instance_id: str) -> Response:
    """Describe an instance and its current state."""
    return json_answer(backend().instances.describe(instance_id, short=request.args.get("bounds") == "short"))


@blueprint.post("/envs/<instance_id>/reset/")
@large
@documented((schemas.Observation, MSGPACK), body=schemas.ResetRequest | None, accepts=BOTH, errors=IN_INSTANCE)
def reset(instance_id: str) -> Response:
    """Start an episode."""
    params, form = parse(schemas.ResetRequest, needed=False, allows_msgpack=True), form_of_request()
    _, resumed = lending.resumed(request.environ)
    answer = backend().instances.reset(
        instance_id,
        seed=params.seed,
        options=params.options,
        seq=params.seq,
        msgpack=form.msgpack,
        **resumed._asdict(),
    )
    return Response(answer, content_type=form.content_type)


@blueprint.post("/envs/<instance_id>/step/")
@large
@documented((schemas.StepResult, MSGPACK), body=schemas.StepRequest, accepts=BOTH, errors=IN_INSTANCE)
def step(instance_id: str) -> Response:
    """Take one step."""
    # Ordinary requests never get here: the fast path (`fast_path.py`) serves them.
    params, form = instance_parameters.step(parameters.body(), request.content_type or ""), form_of_request()
    answer = backend().instances.step(
        instance_id,
        params.action,
        seq=params.seq,
        at=time.monotonic(),
        is_packed=form.is_packed,
        msgpack=form.msgpack,
    )
    return Response(answer, content_type=form.content_type)


@blueprint.get("/envs/<instance_id>/render")
@documented(("image/png", "text/plain", "application/json"), errors=IN_INSTANCE)
def render(instance_id: str) -> Response:
    """Render the current state: as a PNG, or as its render mode produces it, e.g. as text for `ansi`."""
    kind, body = backend().instances.render(instance_id)
    return Response(body, content_type=kind)


@blueprint.get("/envs/<instance_id>/action_space/")
@documented(schemas.SpaceInfo, errors=IN_INSTANCE)
def action_space(instance_id: str) -> Response:
    """Describe the action space."""
    return json_answer({"info": backend().instances.describe(instance_id)["action_space"]})


@blueprint.get("/envs/<instance_id>/action_space/sample")
@documented(schemas.SampledAction, errors=IN_INSTANCE)
def sample(instance_id: str) -> Response:
    """Sample a random action."""
    return json_answer({"action": backend().instances.sample(instance_id)})


@blueprint.get("/envs/<instance_id>/action_space/contains/<path:x>")
@documented(schemas.Membership, errors=IN_INSTANCE)
def contains(instance_id: str, x: str) -> Response:
    """Check whether a value is in the action space."""
    return json_answer({"member": backend().instances.contains(instance_id, x)})


@blueprint.get("/envs/<instance_id>/observation_space/")
@documented(schemas.SpaceInfo, errors=IN_INSTANCE)
def observation_space(instance_id: str) -> Response:
    """Describe the observation space."""
    return json_answer({"info": backend().instances.describe(instance_id)["observation_space"]})


@blueprint.post("/envs/<instance_id>/observation_space/contains")
@large
@documented(schemas.Membership, body=schemas.SpaceKeys, errors=IN_INSTANCE)
def observation_space_contains(instance_id: str) -> Response:
    """Check whether the observation space has these keys and values."""
    params = parameters.of_request()
    return json_answer(
        {"member": spaces.member(backend().instances.describe(instance_id)["observation_space"], params)}
    )


@blueprint.post("/envs/<instance_id>/monitor/start/")
@documented(status=204, body=schemas.MonitorRequest, errors=IN_INSTANCE)
def monitor_start(instance_id: str) -> Response:
    """Start monitoring."""
    params = parse(schemas.MonitorRequest)
    force, resume, directory = params.force, params.resume, monitor.label(params.directory)
    options = {
        "directory": directory,
        "force": force,
        "resume": resume,
        "video_callable": int(params.video_callable),
    }
    monitor.check(backend().instances.folder(instance_id), directory, force=force, resume=resume)
    who = caller()
    backend().instances.pool.supervisor.ask(AdmitStorage(who.account_id if who is not None else 0))
    monitor.prepare(backend().instances.folder(instance_id), directory)
    backend().instances.monitor(instance_id, options)
    if force:
        monitor.clear(backend().instances.folder(instance_id), directory)
    return no_content()


@blueprint.post("/envs/<instance_id>/monitor/close/")
@documented({204: None, 200: schemas.SubmissionResult}, errors=IN_INSTANCE)
def monitor_close(instance_id: str) -> Response:
    """Stop monitoring; the instance stays. For a submission this ends it, and returns its score as `reward`."""
    if (row := grading().submissions.with_token(instance_id)) is not None:
        row = grading().submissions.finish(row)
        backend().background.wake()
        return json_answer({"reward": row.score, "submission_id": row.name, "reason": row.reason})
    backend().instances.monitor(instance_id, None)
    monitor.write(backend().instances.folder(instance_id), backend().media)
    return no_content()


@blueprint.post("/envs/<instance_id>/close/")
@documented(status=204, errors=IN_INSTANCE)
def close(instance_id: str) -> Response:
    """Close the instance; a submission ends with what it has so far."""
    if (row := grading().submissions.with_token(instance_id)) is not None:
        grading().submissions.leave(row)
        backend().background.wake()
    else:
        monitor.write(backend().instances.close(instance_id), backend().media)
    return no_content()


@blueprint.post("/upload/")
@key_in_body("api_key")
@documented(status=204, body=schemas.ResultsUpload)
def upload() -> Response:
    """Store the results of a monitored run."""
    params = parse(schemas.ResultsUpload)
    directory = monitor.label(params.training_dir)
    account = 0 if identity().sees_all else identity().account_id
    owner = identity().account_id
    backend().instances.pool.supervisor.ask(AdmitStorage(owner))
    monitor.keep(backend().instances.pool.data, directory, algorithm=params.algorithm_id, account=account, owner=owner)
    return no_content()


@blueprint.post("/shutdown/")
@allow(ADMIN)
@documented("text/html")
def shutdown() -> Response:
    """Shut the server down."""
    backend().accounts.note(actor(), "shutdown", "the server")
    serving.stop()
    return Response("Server shutting down", content_type="text/html; charset=utf-8")


@blueprint.get("/environments/")
@documented(schemas.EnvironmentCards)
def environments() -> Response:
    """List the catalogue's environments."""
    return json_answer({"environments": backend().instances.listing.rows()})


@blueprint.get("/environments/<path:env_id>/")
@documented(schemas.EnvironmentCard)
def environment(env_id: str) -> Response:
    """Describe one environment, with its spaces."""
    return json_answer(backend().instances.listing.row(env_id))
