"""Advice on an experiment, and its learning curve as a picture, over HTTP."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from flask import Response, request

from gymserve.protocol import errors
from gymserve.store.models import Experiment
from gymserve.training.advice import assistant, prose
from gymserve.training.advice.assistant import Curve, Finding
from gymserve.training.advice.prose import Author, Subject
from gymserve.training.experiments import curve
from gymserve.training.experiments.listing import has_diverged
from gymserve.training.plan import algorithms
from gymserve.training.plan.stored import plan_of
from gymserve.training.plan.training_plan import SB3
from gymserve.web.http import parameters
from gymserve.web.http.access import ticketed
from gymserve.web.http.answers import event, json_answer
from gymserve.web.http.backend import backend, training
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.openapi import documented
from gymserve.web.training import schemas
from gymserve.web.training.experiments import own_experiment, unit_of

blueprint = Blueprint("advice", scope="training", tag="Advice", url_prefix="/experiments")
OTHERS = (401, 403, 409)
READ = (
    "reward", "train/approx_kl", "train/clip_fraction", "train/entropy_loss", "train/explained_variance",
    "train/value_loss", "rollout/exploration_rate",
)  # fmt: skip
MOST_SEEDS = 20


@blueprint.get("/<experiment_id>/advice")
@documented(
    (schemas.Advice, "text/markdown"),
    errors=OTHERS,
    query={"format": "json, or markdown for a report, streamed", "ids": "runs with other seeds, comma-separated"},
)
def advise(experiment_id: str) -> Response:
    """Report what an experiment's hyper-parameters and curves show, and what to change."""
    row = own_experiment(experiment_id)
    form = parameters.choice("format", "json", "markdown")
    results = findings(row, _others())
    if form == "markdown":
        title = f"{row.title}: {row.algorithm} on {row.environment}"
        return Response(assistant.report(title, results), content_type="text/markdown; charset=utf-8")
    return json_answer(schemas.Advice(row.name, [schemas.AdviceFinding(**asdict(each)) for each in results]))


@blueprint.get("/<experiment_id>/advice/stream")
@ticketed
@documented(
    ("text/event-stream", "text/markdown"),
    errors=OTHERS,
    query={"format": "events or markdown", "ids": "runs with other seeds, comma-separated"},
)
def advise_live(experiment_id: str) -> Response:
    """Stream the advice as server-sent events: each `finding`, then the `author` and the `text` in pieces."""
    row = own_experiment(experiment_id)
    form = parameters.choice("format", "events", "markdown")
    return written(row, findings(row, _others()), as_events=form == "events")


def written(row: Experiment, results: Sequence[Finding], *, as_events: bool) -> Response:
    """Stream the findings as prose, as server-sent events or as one Markdown text."""
    subject = Subject(f"{row.title}: {row.algorithm} on {row.environment}", row.algorithm, row.environment)
    pieces = prose.text(training().writer, subject, results)
    if as_events:
        answer = Response(_events(results, pieces), content_type="text/event-stream")
    else:
        answer = Response(prose.markdown(pieces), content_type="text/markdown; charset=utf-8")
    answer.headers["X-Accel-Buffering"] = "no"
    return answer


def _events(results: Sequence[Finding], pieces: Iterator[Author | str]) -> Iterator[bytes]:
    for each in results:
        yield event("finding", asdict(each))
    for piece in pieces:
        yield event("text", {"text": piece}) if isinstance(piece, str) else event("author", piece._asdict())
    yield event("end", {})


@blueprint.get("/<experiment_id>/curve")
@documented(
    ("image/svg+xml", "image/png"),
    errors=(401, 403),
    query={"metric": "by default the returns: reward, or what its program calls them", "format": "svg or png"},
)
def draw(experiment_id: str) -> Response:
    """Draw an experiment's learning curve."""
    return drawn(own_experiment(experiment_id))


def drawn(row: Experiment) -> Response:
    """Draw the learning curve that the current request asks for.

    Raises:
        InvalidRequest: the format is unknown.
    """
    form = parameters.choice("format", "svg", "png")
    name = request.args.get("metric") or training().metrics.return_name(row)
    timesteps, values = curves_of(row, (name,)).get(name, ([], []))
    title = f"{row.title}: {row.algorithm or row.runner} on {row.environment}" if row.environment else row.title
    unit = unit_of(row)
    if form == "png":
        return Response(curve.png(title, name, timesteps, values, unit=unit), content_type="image/png")
    return picture(curve.svg(title, name, timesteps, values, unit=unit))


def picture(svg: str) -> Response:
    """Answer with an SVG document, which may use its own styles but no scripts."""
    answer = Response(svg, content_type="image/svg+xml; charset=utf-8")
    answer.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return answer


def _others() -> list[Experiment]:
    """Return the runs with other seeds that the current request names."""
    names = [each for each in request.args.get("ids", "").split(",") if each]
    return [own_experiment(each) for each in names[:MOST_SEEDS]]


def findings(row: Experiment, others: Sequence[Experiment] = ()) -> list[Finding]:
    """Return the findings on a run, and on `others` with other seeds beside it.

    Raises:
        Conflict: a program ran it, whose hyper-parameters are unknown.
    """
    if not row.algorithm or row.runner != SB3:
        raise errors.Conflict("advice is available only for experiments of the runner sb3")
    plan = plan_of(row)
    threshold = None
    with contextlib.suppress(errors.UnknownEnvironment):  # it no longer exists, or is on another server
        threshold = backend().instances.catalogue.resolve(row.environment).spec.reward_threshold
    run = assistant.TrainingRun(
        row.algorithm,
        algorithms.find(row.algorithm).defaults | plan.hyperparameters,
        total_timesteps=plan.total_timesteps,
        n_envs=plan.n_envs,
        threshold=threshold,
        diverged=has_diverged(row),
    )
    results = assistant.findings(run, curves_of(row))
    curves = [curves_of(each).get("reward", ([], [])) for each in (row, *others)]
    seeds = assistant.spread(curves)
    return [*results, seeds] if seeds is not None else results


def curves_of(row: Experiment, names: Sequence[str] = READ) -> dict[str, Curve]:
    """Return curves by name, with at most 500 points each."""
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for point in training().metrics.points(row.id, names=names, points=500):
        for name, value in point.values.items():
            if value is not None:
                timesteps, values = curves.setdefault(name, ([], []))
                timesteps.append(point.timestep)
                values.append(value)
    return dict(curves)
