"""`python -m gymserve.training.runners.command FOLDER`: runs a program as planned, and reads its metrics."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from gymserve.training.plan.states import ExperimentState
from gymserve.training.plan.training_plan import ProgramPlan
from gymserve.training.runners.folder import Folder, MetricsFile
from gymserve.training.runners.readers import READERS, Reader

READ_SECONDS = 0.5
LIVE_LOG = {"PYTHONUNBUFFERED": "1"}  # else its last lines are lost when it is ended by a signal


def main() -> int:
    """Run the program of the plan in FOLDER, and write the outcome."""
    folder = Folder(Path(sys.argv[1]))
    folder.note_process(os.getpid())
    plan = msgspec.convert(folder.plan(), ProgramPlan)
    interrupts: list[int] = []

    def interrupt(number: int, _: object) -> None:  # signals go to the program as well
        interrupts.append(number)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what the program writes until it ends is still to be read

    signal.signal(signal.SIGINT, interrupt)
    try:
        work = prepare(folder, plan)
        program = subprocess.Popen(
            plan.command,
            cwd=work,
            stdin=subprocess.DEVNULL,
            env={**LIVE_LOG, **os.environ, **plan.variables, "PYTHONPATH": plan.variables.get("PYTHONPATH", "")},
        )
    except OSError as error:
        reason = f"{plan.command[0]} could not be started: {error.strerror}"
        folder.end(ExperimentState.FAILED, reason=reason, exit_code=1)
        return 1
    code = follow(program, READERS[plan.metrics](work / plan.results), MetricsFile(folder.metrics))
    if interrupts:
        folder.end(ExperimentState.STOPPED, exit_code=code)
    elif code == 0:
        folder.end(ExperimentState.COMPLETED, exit_code=0)
    else:
        reason = f"the program ended with {code}: {last_line(folder.log)}"
        folder.end(ExperimentState.FAILED, reason=reason[:500], exit_code=code)
    return 0


def prepare(folder: Folder, plan: ProgramPlan) -> Path:
    """Create the run's working folder, which links to the program's files; only what the run writes there is its own."""
    work = folder.path / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    own = Path(plan.results).parts[:1]
    for entry in Path(plan.directory).iterdir():
        if (entry.name,) != own:
            (work / entry.name).symlink_to(entry)
    return work


def follow(program: "subprocess.Popen[bytes]", reader: Reader, metrics: MetricsFile) -> int:
    """Copy the program's metrics until it ends; return its exit code."""
    code = None
    while True:
        for timestep, values in reader.read():
            if timestep >= 0:
                metrics.write(timestep, values)
        metrics.flush()
        if code is not None:
            return code
        try:
            code = program.wait(READ_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def last_line(log: Path) -> str:
    """Return the last non-empty line of a log (of its last 4096 bytes)."""
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it printed nothing"


if __name__ == "__main__":
    sys.exit(main())
