"""The view of the server's machine and its load, as the TJU platform's clients request it."""

from collections.abc import Sequence

from flask import Response

from gymserve.web.http.access import ADMIN, allow
from gymserve.web.http.answers import json_answer
from gymserve.web.http.blueprint import Blueprint
from gymserve.web.http.openapi import documented
from gymserve.web.operations import resources, schemas

blueprint = Blueprint("machine", scope="operations", tag="Server")
GIB = 2**30


@blueprint.get("/sys_info/")
@allow(ADMIN)
@documented(schemas.Machine, errors=(401, 403))
def show() -> Response:
    """Show the machine's processors, memory and GPUs, and their use."""
    processors, memory, gpus = resources.processors(), resources.memory(), resources.gpus()
    return json_answer({"cpu": processors, "memory": memory, "gpus": gpus, **_as_text(processors, memory, gpus)})


def _as_text(
    processors: resources.ProcessorUse, memory: resources.MemoryUse, gpus: Sequence[resources.GpuInformation]
) -> dict[str, object]:
    """Return the same figures as the texts that the TJU platform's pages show."""
    return {
        "cpu_count": f"{processors['count']} 个核",
        "cpu_percent": f"cpu利用率: {processors['percent']}%",
        "mem_total": f"{memory['total_bytes'] / GIB} G",
        "mem_used": f"{memory['used_bytes'] / GIB} G",
        "mem_available": f"{memory['available_bytes'] / GIB} G",
        "mem_percent": f"{memory['percent']} %",
        "gpu_id_list": [gpu["id"] for gpu in gpus],
        "gpu_name_dict": {str(gpu["id"]): gpu["name"] for gpu in gpus},
    }
