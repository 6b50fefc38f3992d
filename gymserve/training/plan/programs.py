"""Programs that experiments may run, defined by the RUNNERS setting: argument vectors, never a shell.

A participant provides values for named parameters; each must match its parameter's pattern, and becomes part of one argument.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gymserve.protocol.errors import SettingsError, Untrainable
from gymserve.protocol.wire import JSONObject, JSONValue

READERS = ("sacred", "ptf", "lines")
VALUE = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}"
NUMBER = r"[0-9]{1,12}"
WORD = r"[A-Za-z0-9_]{1,60}"
_PLACE = re.compile(r"\{(\w+)\}")
_KEYS = {
    "interpreter",
    "directory",
    "arguments",
    "parameters",
    "defaults",
    "defaults_by",
    "metrics",
    "results",
    "environment",
}


def _policies(path: str, *names: str) -> str:
    """List the policies in PTF's checkout to learn from; PTF evaluates the list, so participants may not choose it."""
    return "[" + ",".join("source_policies/" + path.format(name) for name in names) + "]"


PRESETS: dict[str, dict[str, object]] = {
    "pymarl": {
        # -b: seconds between sacred's writes, 10 by default. PyMARL ends with os._exit after waiting a second for sacred's
        # thread, so values that were not written by then are lost. The long option's name differs between sacreds.
        "arguments": [
            "src/main.py", "--config={algo_name}", "--env-config={env_name}", "-b", "0.5", "with",
            "env_args.map_name={map_name}", "t_max={t_max}", "seed={seed}",
        ],
        "parameters": {"algo_name": WORD, "env_name": WORD, "map_name": WORD, "t_max": NUMBER},
        "defaults": {"env_name": "sc2"},
        "metrics": "sacred",
        "results": "results/sacred",
    },
    "epymarl": {
        "arguments": [
            "src/main.py", "--config={algo_name}", "--env-config={env_name}", "with", "env_args.key={map_name}",
            "env_args.time_limit={time_limit}", "t_max={t_max}", "test_interval={test_interval}",
            "log_interval={log_interval}", "runner_log_interval={log_interval}", "seed={seed}",
        ],
        "parameters": {
            "algo_name": WORD, "env_name": WORD, "map_name": r"(lbforaging|rware|pz-mpe|vmas|matrix-games)[:A-Za-z0-9_-]{0,80}",
            "time_limit": NUMBER, "t_max": NUMBER, "test_interval": NUMBER, "log_interval": NUMBER,
        },
        "defaults": {"env_name": "gymma", "time_limit": "50"},
        "metrics": "sacred",
        "results": "results/sacred",
    },
    "ptf": {
        "arguments": [
            "main.py", "-a", "ptf_{algo_name}", "-c", "ptf_{algo_name}_conf", "-g", "{env_name}", "-d", "{env_name}_conf",
            "-n", "{episodes}", "-e", "{steps}", "-s", "{seed}", "-o", "adam", "save_per_episodes={save_every}", "task={task}",
            "option_model_path={policies}", "source_policy={kind}", "continuous_action={continuous}", "configuration={layout}",
            "target_position={target}", "sequential_state={sequential}", "reward_normalize={normalize}",
        ],
        "parameters": {
            "algo_name": "a3c|ppo", "env_name": "grid|pinball", "episodes": NUMBER, "steps": NUMBER, "task": NUMBER,
            "save_every": "[1-9][0-9]{1,5}",
        },
        "defaults": {"algo_name": "a3c", "env_name": "grid", "episodes": "20000", "save_every": "50"},
        "defaults_by": {"env_name": {
            "grid": {"steps": "99", "task": "324", "policies": _policies("grid/{0}/{0}", "81", "459", "65", "295")},
            "pinball": {  # the game that those policies were trained for
                "steps": "499", "policies": _policies("a3c/{0}/model", "0.90.9", "0.90.2", "0.20.9"), "kind": "a3c",
                "continuous": "True", "layout": "game/pinball_hard_single.cfg", "target": "[0.1,0.1]",
                "sequential": "False", "normalize": "False",
            },
        }},
        "metrics": "ptf",
        "results": "results",
        "environment": {"SDL_VIDEODRIVER": "dummy"},
    },
}  # fmt: skip


@dataclass(frozen=True)
class Program:
    """A program that an organiser has set up.

    Attributes:
        interpreter: the executable, such as the Python of the program's own virtual environment.
        directory: the program's folder; each run works in a folder of its own that links to the same files.
        arguments: `{name}` is replaced by a parameter's value, `{seed}` by the experiment's seed. An argument whose
            parameter has neither a value nor a default is left out.
        parameters: name → the pattern that a value must match completely.
        defaults_by: parameter → its value → more defaults that apply when it has that value.
        metrics: the format: "sacred" (info.json), "ptf" (out.json) or "lines" (metrics.jsonl).
        results: the folder of the metrics, below the run's own.
        environment: environment variables for the program.
    """

    name: str
    interpreter: str
    directory: str
    arguments: tuple[str, ...]
    parameters: dict[str, str]
    defaults: dict[str, str]
    defaults_by: dict[str, dict[str, dict[str, str]]]
    metrics: str
    results: str
    environment: dict[str, str]

    @classmethod
    def read(cls, name: str, definition: Mapping[str, JSONValue]) -> "Program":
        """Create a program from its definition in RUNNERS.

        Raises:
            SettingsError: the definition is invalid.
        """
        unknown = set(definition) - _KEYS
        if unknown:
            raise SettingsError(
                f"RUNNERS: {name}: there is no {sorted(unknown)[0]}; there are {', '.join(sorted(_KEYS))}"
            )
        merged: JSONObject = {
            "arguments": [], "parameters": {}, "defaults": {}, "defaults_by": {}, "metrics": "lines", "results": "",
            "environment": {},
        } | PRESETS.get(name, {}) | dict(definition)  # fmt: skip
        for needed in ("interpreter", "directory"):
            if not isinstance(merged.get(needed), str) or not Path(merged[needed]).is_absolute():
                raise SettingsError(f"RUNNERS: {name}: {needed} must be an absolute path")
        if merged["metrics"] not in READERS:
            raise SettingsError(f"RUNNERS: {name}: metrics must be one of {', '.join(READERS)}")
        if ".." in Path(merged["results"]).parts or Path(merged["results"]).is_absolute():
            raise SettingsError(f"RUNNERS: {name}: results must be below the run's folder")
        for parameter in merged["parameters"]:
            try:
                re.compile(merged["parameters"][parameter])
            except (re.error, TypeError):
                raise SettingsError(
                    f"RUNNERS: {name}: the pattern of {parameter} is not a regular expression"
                ) from None
        return cls(name=name, **{**merged, "arguments": tuple(merged["arguments"])})

    def check(self, parameter: object) -> dict[str, str]:
        """Return the parameters' values as text, with defaults.

        Raises:
            Untrainable: a parameter is unknown, a value does not match, or one is missing.
        """
        if not isinstance(parameter, dict):
            raise Untrainable(f"parameter must be an object, not {parameter!r:.50}")
        values = {}
        for name, value in parameter.items():
            if name not in self.parameters:
                raise Untrainable(f"{self.name} has no parameter {name!r:.50}: it has {', '.join(self.parameters)}")
            text = str(value) if isinstance(value, (str, int, float)) else ""
            if not re.fullmatch(self.parameters[name], text) or not re.fullmatch(r"[^\s\x00-\x1f]{1,300}", text):
                raise Untrainable(f"{name} must match {self.parameters[name]}, not {value!r:.50}")
            values[name] = text
        return self.complete(values)

    def complete(self, values: Mapping[str, str]) -> dict[str, str]:
        """Add the defaults of missing parameters."""
        completed = {**self.defaults, **values}
        for name, choices in self.defaults_by.items():
            completed = {**choices.get(completed.get(name, ""), {}), **completed}
        return completed

    def command(self, values: Mapping[str, str], seed: int) -> list[str]:
        """Return the argument vector."""
        known = {**self.complete(values), "seed": str(seed)}
        filled = [
            _PLACE.sub(lambda match: known[match[1]], argument)
            for argument in self.arguments
            if all(place in known for place in _PLACE.findall(argument))
        ]
        return [self.interpreter, *filled]


def counted(programs: Mapping[str, Program], runner: str) -> str:
    """Return what a runner's metrics count: "timestep", or "episode" if they have PTF's format."""
    own = programs.get(runner)
    metrics = own.metrics if own is not None else PRESETS.get(runner, {}).get("metrics")  # it is not set up any more
    return "episode" if metrics == "ptf" else "timestep"


def read(settings: Mapping[str, JSONValue]) -> dict[str, Program]:
    """Return the programs of the RUNNERS setting by name.

    Raises:
        SettingsError: a definition is invalid.
    """
    programs = {}
    for name, definition in settings.items():
        if not isinstance(definition, dict) or name == "sb3" or not re.fullmatch(r"[A-Za-z0-9_-]{1,50}", name):
            raise SettingsError(
                f'RUNNERS must be name → definition, with names of letters, digits, _ and - other than "sb3", not {name!r}'
            )
        programs[name] = Program.read(name, definition)
    return programs
