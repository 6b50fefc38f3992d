"""Whether the server lives, for people and load balancers."""

from datetime import UTC, datetime

from flask import Blueprint, Response, current_app

import gymserve
from gymserve import wire
from gymserve.web import schemas
from gymserve.web.openapi import documented

health = Blueprint("health", __name__)


@health.get("/health")
@documented(schemas.Health)
def show() -> Response:
    """Tell whether the server is healthy."""
    status = current_app.extensions["instances"].pool.ask("status")
    body = {
        "status": "healthy",
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "version": gymserve.__version__,
        "uptime_seconds": round(status["uptime_seconds"], 1),
        "instances": status["instances"],
        "hosts": len(status["hosts"]),
    }
    return Response(wire.write_json(body), content_type="application/json")
