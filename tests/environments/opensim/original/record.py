"""Records the rewards and observations of osim-rl 3.0.11: python -m tests.environments.opensim.original.record

It runs in a virtual environment of its own, with the last scipy that has `interp2d`, writes `osim_rl.json`, and prints the
speed.
"""

import dataclasses
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from tests.environments.opensim import release
from tests.environments.opensim.original import osim_rl
from tests.environments.opensim.original.osim_rl import Scenario

RECORD = Path(__file__).with_name("osim_rl.json")
SCENARIOS = (
    Scenario("Arm2D", seed=3, steps=60, every=20),
    Scenario("Arm2D", seed=0, steps=30, every=30, hold=10, strength=0.3),
    Scenario("L2M2019", seed=1, steps=50, every=25, hold=20),  # two footsteps
    Scenario("L2M2019", seed=3, steps=40, every=20, model="2D", difficulty=1, hold=20),  # one
    Scenario("L2M2019", seed=5, steps=30, every=15, difficulty=2, hold=8, strength=0.5),
    Scenario("L2M2019", seed=5, steps=20, every=10, model="2D", difficulty=0, strength=0.5),
)


def answers(code: Path, python: str, scenarios: tuple[Scenario, ...]) -> list[dict[str, Any]]:
    """Plays each scenario with the release's code, in an interpreter that has opensim."""
    questions = json.dumps([dataclasses.asdict(scenario) for scenario in scenarios])
    command = [python, "-W", "ignore", osim_rl.__file__, str(code)]
    done = subprocess.run(command, input=questions, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    results: list[dict[str, Any]] = json.loads(done.stdout)
    return results


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        python = str(folder / "venv" / "bin" / "python")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "opensim==4.6", "scipy<1.14"], check=True)
        release.fetch()
        results = answers(release.unpack(folder), python, SCENARIOS)
    for scenario, answer in zip(SCENARIOS, results, strict=True):
        print(f"{scenario.env}: {scenario.steps / answer.pop('seconds'):.0f} steps/s", file=sys.stderr)
    rows = [
        {"scenario": dataclasses.asdict(scenario), **answer}
        for scenario, answer in zip(SCENARIOS, results, strict=True)
    ]
    RECORD.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
