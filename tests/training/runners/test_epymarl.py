"""Real EPyMARL, from its own checkout: `TEST_EPYMARL` names the checkout, `TEST_EPYMARL_PYTHON` its interpreter."""

import json
import os
from collections.abc import Callable

import pytest

from tests.support.servers import alive
from tests.training.conftest import Trainer

CHECKOUT, PYTHON = os.environ["TEST_EPYMARL"], os.environ["TEST_EPYMARL_PYTHON"]


@pytest.mark.long
def test_epymarl_trains_on_lbforaging(train: Callable[..., Trainer]) -> None:
    server = train(RUNNERS={"epymarl": {"interpreter": PYTHON, "directory": CHECKOUT}})
    parameter = {
        "algo_name": "iql", "map_name": "lbforaging:Foraging-5x5-2p-1f-v3", "time_limit": 25,
        "t_max": 2000, "test_interval": 500, "log_interval": 500,
    }  # fmt: skip
    settings = {"name": "foraging", "runner": "epymarl", "parameter": parameter, "seed": 1}
    name = server.post("/experiments", settings).json["id"]
    server.post(f"/experiments/{name}/train")
    row = server.until(name, "completed", seconds=400)
    assert row["exit_code"] == 0 and row["timesteps"] >= 1500
    points = server.get(f"/experiments/{name}/metrics?names=return_mean,test_return_mean,loss").json["metrics"]
    assert {"return_mean", "test_return_mean"} <= {key for point in points for key in point}

    name = server.post("/experiments", {**settings, "parameter": {**parameter, "t_max": 10**9}}).json["id"]
    server.post(f"/experiments/{name}/train")
    server.until_steps(name, 400)
    leader = server.leader(name)
    assert server.post(f"/experiments/{name}/stop").json["status"] == "stopped" and not alive(leader)
    (run,) = (server.folder(name).path / "work" / "results").rglob("run.json")
    assert json.loads(run.read_text())["status"] == "INTERRUPTED"
