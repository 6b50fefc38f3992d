"""Views of the server's health, for people and load balancers, and of its metrics, for Prometheus."""

import contextlib
import shutil
from collections.abc import Callable
from datetime import UTC, datetime

from flask import Response
from sqlalchemy import text

import gymserve
from gymserve.hosts.messages import GetStatus
from gymserve.protocol import wire
from gymserve.protocol.errors import GymserveError, Unavailable
from gymserve.web.http.access import ADMIN, PUBLIC, allow
from gymserve.web.http.backend import backend, grading, training
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.openapi import documented
from gymserve.web.operations import prometheus, schemas

blueprint = Blueprint("health", scope="operations", tag="Server")
MINIMUM_DISK = 64 * 2**20  # bytes


@blueprint.get("/health")
@allow(PUBLIC)
@documented(schemas.Health)
def show() -> Response:
    """Show the server's health."""
    status = backend().instances.pool.supervisor.ask(GetStatus())
    body = {
        "status": "healthy",
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "version": gymserve.__version__,
        "uptime_seconds": round(status.uptime_seconds, 1),
        "instances": status.instances,
        "hosts": len(status.hosts),
        "active_experiments": None,
    }
    with contextlib.suppress(Unavailable):
        body["active_experiments"] = training().experiments.active()
    return Response(wire.write_json(body), content_type="application/json")


@blueprint.get("/health/live")
@allow(PUBLIC)
@documented(schemas.Liveness)
def live() -> Response:
    """Check that this process responds."""
    return Response(wire.write_json({"status": "live"}), content_type="application/json")


@blueprint.get("/health/ready")
@allow(PUBLIC)
@documented({200: schemas.Readiness, 503: schemas.Readiness})
def ready() -> Response:
    """Check the database, the hosts and the disk: 200 if all are available, or 503 with the reasons."""
    checks = {name: _run_check(check) for name, check in CHECKS.items()}
    is_ready = all(check["ok"] for check in checks.values())
    body = {"status": "ready" if is_ready else "not ready", "checks": checks}
    return Response(wire.write_json(body), 200 if is_ready else 503, content_type="application/json")


def _run_check(check: Callable[[], str | None]) -> dict[str, object]:
    try:
        reason = check()
    except GymserveError as error:
        reason = str(error)
    return {"ok": reason is None, "reason": reason}


def _database() -> str | None:
    with backend().accounts.database.reading() as session:
        session.execute(text("SELECT 1"))
    return None


def _hosts() -> str | None:
    backend().instances.pool.supervisor.check()
    return None


def _disk() -> str | None:
    free = shutil.disk_usage(backend().instances.pool.data).free
    return None if free >= MINIMUM_DISK else f"only {free // 2**20} MB are free"


CHECKS = {"database": _database, "hosts": _hosts, "disk": _disk}


@blueprint.get("/metrics")
@allow(ADMIN)
@documented("text/plain")
def show_metrics() -> Response:
    """Show the server's metrics in Prometheus' text format."""
    backend().counts.flush()
    status = backend().instances.pool.supervisor.ask(GetStatus())
    submissions = grading().submissions
    waiting: dict[str, int] = {}
    queues = {"media_orders": backend().media.jobs.number()}
    with contextlib.suppress(Unavailable):
        waiting, queues["reports_waiting"] = submissions.waiting(), submissions.outbox.waiting()
    return Response(prometheus.text(status, waiting, queues), content_type=prometheus.CONTENT_TYPE)
