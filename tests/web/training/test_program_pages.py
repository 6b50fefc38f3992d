"""The pages of programs say what their runs do: they count timesteps or episodes, and can only begin anew."""

from pathlib import Path

import pytest

from gymserve.store.models import Experiment
from gymserve.training.plan import programs
from gymserve.training.plan.states import ExperimentState
from gymserve.web.training.pages import buttons_of
from tests.training.conftest import Trainer
from tests.training.experiments.test_project_experiments import RUNNERS


@pytest.mark.parametrize("state", ExperimentState)
def test_only_runs_with_checkpoints_can_be_resumed(state: ExperimentState) -> None:
    resumed = {ExperimentState.PAUSED, ExperimentState.STOPPED, ExperimentState.FAILED}
    assert ("resume" in buttons_of(Experiment(runner="sb3", state=state, reason=""))) == (state in resumed)
    assert "resume" not in buttons_of(Experiment(runner="pymarl", state=state, reason=""))


def test_metrics_in_ptfs_format_count_episodes() -> None:
    paths = {"interpreter": "/opt/python", "directory": "/opt/mine"}
    known = programs.read({"mine": {**paths, "metrics": "ptf"}, "other": paths, "ptf": {**paths, "metrics": "lines"}})
    units = {name: programs.counted(known, name) for name in (*known, "sb3", "pymarl")}
    assert units == {"mine": "episode", "other": "timestep", "ptf": "timestep", "sb3": "timestep", "pymarl": "timestep"}
    assert programs.counted({}, "ptf") == "episode"  # a run from before it was removed from RUNNERS


@pytest.mark.long
def test_pages_name_what_a_program_counts_and_that_it_runs_again(tmp_path: Path) -> None:
    trainer = Trainer(tmp_path, RUNNERS=RUNNERS)
    try:
        settings = {"runner": "ptf", "parameter": {"algo_name": "a3c", "env_name": "grid", "episodes": 1}}
        name = trainer.started(algorithm=None, environment=None, **settings)
        trainer.until(name, "completed")
        page, listed = (trainer.get(path).body.decode() for path in (f"/training/{name}", "/training"))
        assert "over the episodes;" in page and ">to episode<" in page and 'data-unit="episode"' in page
        assert "timestep" not in page and " episodes</span>" in listed
        assert b">episodes</text>" in trainer.get(f"/experiments/{name}/curve").body
        assert b" episodes: " in trainer.get(f"/training/{name}/sparkline").body
        assert "Run again…" in page and "Resume" not in page and "from scratch" not in page
        assert trainer.post(f"/experiments/{name}/retry").status == 200
        trainer.until(name, "completed")
    finally:
        trainer.stop()
        trainer.end_experiments()
