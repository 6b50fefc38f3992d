"""Decide an experiment's next state from what its process left behind."""

from gymserve.store.models import Experiment, now
from gymserve.system.background import ATTEMPTS
from gymserve.training.plan.states import ExperimentState
from gymserve.training.runners.command import last_line
from gymserve.training.runners.folder import Folder


def conclude(row: Experiment, folder: Folder, code: int | None) -> None:
    """Set the row's next state, after its process has ended.

    A process that left no outcome was killed: the experiment is queued again and resumes from its last checkpoint.

    Args:
        code: the process's exit code, if known.
    """
    outcome, request = folder.outcome(), row.request
    row.request = ""
    if outcome is not None:
        row.results = {name: outcome[name] for name in ("evaluation", "timesteps") if name in outcome}
        row.timesteps = max(row.timesteps, int(outcome.get("timesteps", 0)))
        row.exit_code = outcome.get("exit_code", code)
        state = outcome["state"]
        if request == "end":
            _end(row, ExperimentState.FAILED, row.reason)
        elif state is ExperimentState.PAUSED and request != "stop":
            row.state, row.reason = state, ""
        else:
            if state is ExperimentState.PAUSED:
                folder.keep_learned()
                state = ExperimentState.STOPPED
            _end(row, state, outcome.get("reason", ""))
        return
    row.exit_code = code
    if request == "end":
        _end(row, ExperimentState.FAILED, row.reason)
    elif request == "stop":
        folder.keep_learned()
        _end(row, ExperimentState.STOPPED, "")
    elif code is not None and code > 0:
        _end(row, ExperimentState.FAILED, f"its process ended with {code}: {_last_words(folder)}")
    elif request == "pause":
        row.state = ExperimentState.PAUSED
        row.reason = "its process was killed; it will resume from its last checkpoint"
    elif row.attempts < ATTEMPTS:
        row.state = ExperimentState.QUEUED
        row.reason = "its process was killed; it resumes from its last checkpoint"
    else:
        last = f" (last by signal {-code})" if code else ""
        _end(row, ExperimentState.FAILED, f"its process was killed {ATTEMPTS} times{last}")


def _end(row: Experiment, state: ExperimentState, reason: str) -> None:
    row.state, row.reason, row.completed_at = state, reason[:500], now()


def _last_words(folder: Folder) -> str:
    return last_line(folder.log) if folder.log.exists() else "it left no log"
