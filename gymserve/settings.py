"""The settings: one table, and how a server's own values are found.

Defaults < `localsettings.py` < environment variables `GYMSERVE_<NAME>` < the command line. A file `.env` may hold variables
as well, and the RL Agent Training API's, `RL_API_<NAME>`, are understood.
`python -m gymserve.settings` prints `localsettings.py.example`, `python -m gymserve.settings docs` prints `docs/settings.md`.
"""

import difflib
import json
import os
import runpy
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from gymserve import old_settings, variables
from gymserve.errors import SettingsError

PREFIX = "GYMSERVE_"
NOT_SETTINGS = {"SETTINGS", "SERVER", "TOKEN", "ARBITER"}  # of the loader, the client and the front door


CHOICES = {
    "LOG_LEVEL": ("debug", "info", "warning", "error"),
    "AUTH": ("open", "token"),
    "TRAINING_ROLE": ("participant", "organiser", "admin"),
}


def _setting(default: Any, meaning: str, least: float = 0, most: float = float("inf"), *, secret: bool = False) -> Any:
    metadata = {"meaning": meaning, "least": least, "most": most, "secret": secret}
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata, repr=not secret)
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True)
class Settings:
    """A server's settings."""

    HOST: str = _setting("127.0.0.1", "address to listen on")
    PORT: int = _setting(5000, "port to listen on; 0 takes any that is free", 0, 65535)
    WORKERS: int = _setting(max(2, os.cpu_count() or 1), "gunicorn workers; one a core", 1, 256)
    THREADS: int = _setting(64, "threads of each worker", 2, 4096)
    DATA: str = _setting("gymserve-data", "directory of journals and all else that is kept")
    DATABASE: str = _setting(
        "", "URL of a PostgreSQL or MariaDB/MySQL database; empty: an SQLite file in DATA", secret=True
    )
    AUTH: str = _setting("open", "open: whoever reaches the server may do all; token: accounts, keys and roles")
    FORCE_OPEN: bool = _setting(False, 'allow AUTH = "open" on an address that other machines reach')
    SIGN_UP: bool = _setting(False, "strangers may make themselves an account")
    SECRETS: list[str] = _setting(
        [], "sign logins: the first signs, older ones are still believed; none: one is made in DATA", secret=True
    )
    LOGIN_HOURS: float = _setting(24.0, "hours that a login lasts", 0.01, 8760)
    PASSWORD_LENGTH: int = _setting(6, "characters that a new password must have", 1, 100)
    TRUSTED_HOSTS: list[str] = _setting(
        [], 'names that the server answers to, such as "gym.example.org" or ".example.org"; none: see docs/security.md'
    )
    CORS_ORIGINS: list[str] = _setting([], 'origins whose pages may call this server, or "*" for all')
    PROXIES: int = _setting(0, "reverse proxies in front, whose X-Forwarded-* headers are believed", 0, 10)
    LOG_LEVEL: str = _setting("info", "debug, info, warning or error")
    LOG_DIR: str = _setting(
        "", "directory for logs, one JSON object a line, a new file each day; empty: standard error only"
    )
    LOG_FILE_MB: int = _setting(100, "a log file of so many MB is followed by another one", 1)
    LOG_DAYS: int = _setting(30, "days that log files are kept", 1)
    ENVIRONMENT_MODULES: list[str] = _setting([], "modules imported at the start, which register environments")
    ENVIRONMENT_KWARGS: dict[str, list[str]] = _setting(
        {}, "environment id → names of the kwargs that agents may give, beside the built-in ones"
    )
    SHARED_ENVIRONMENTS: list[str] = _setting(
        [], "ids, or module prefixes, of environments that are light and trusted enough to share a host"
    )
    SCORING_FUNCTIONS: list[str] = _setting([], '"module:function"s that challenges may be scored with')
    CHALLENGE_SERVER_URL: str = _setting(
        "",
        "base of a challenge server's API, such as https://example.org/api: it checks keys, and hears scores",
    )
    CHALLENGE_SERVER_TOKEN: str = _setting("", "with which that server knows this one", secret=True)
    CHALLENGE_CLIENT_NAME: str = _setting("", "what all challenges are called there; empty: what they are called here")
    CHALLENGE_ID: str = _setting("", "the number of the challenge there, for servers that know no client names")
    CHALLENGE_ROUND_ID: str = _setting("", "the round of the challenge there")
    REPORT_DAYS: float = _setting(
        7.0, "days after which a report that the challenge server did not take is given up", 0.01
    )
    SHARED_HOSTS: int = _setting(os.cpu_count() or 1, "host processes for light environments", 1, 1024)
    MAX_INSTANCES: int = _setting(10_000, "instances in all", 1)
    MAX_DEDICATED_HOSTS: int = _setting(200, "instances that have a host process of their own", 0)
    PREPARED_HOSTS: int = _setting(
        1,
        "hosts kept ready with an environment of the kinds last asked for, of those that have a host of their own",
        0,
        100,
    )
    MAX_STREAMS: int = _setting(10_000, "streams in all", 1)
    ACCOUNT_INSTANCES: int = _setting(100, "instances of one account", 0)
    ACCOUNT_STREAMS: int = _setting(100, "streams of one account", 0)
    ACCOUNT_STORAGE_MB: int = _setting(10_240, "MB of journals of one account; with more it may create no instance", 0)
    REQUESTS_PER_MINUTE: int = _setting(
        6000, "requests of one account, or of one stranger's address, but steps; 0: any", 0
    )
    STEPS_PER_SECOND: int = _setting(0, "steps of one account, of each copy in a vector instance; 0: any", 0)
    LOGIN_ATTEMPTS: int = _setting(5, "wrong passwords that are taken at once; then one each half minute", 1)
    SIGN_UPS_PER_HOUR: int = _setting(10, "new accounts from one address", 1)
    MAX_NUM_ENVS: int = _setting(4096, "copies in a vector instance", 1)
    HOST_MEMORY_MB: int = _setting(4096, "memory of a host's own, in MB; a host that takes more is ended", 64)
    IDLE_SECONDS: float = _setting(3600.0, "an instance that nobody uses for so long is closed", 0.1)
    STEP_SECONDS: float = _setting(30.0, "one call into an environment may take so long", 0.1)
    REVIVE_SECONDS: float = _setting(60.0, "replaying an episode after a crash may take so long", 0.1)
    RESTART_SECONDS: float = _setting(10.0, "the longest wait before a host that keeps dying is started again")
    MAX_BODY_BYTES: int = _setting(16 * 2**20, "bytes of a request's body", 1024)
    MAX_HEADER_BYTES: int = _setting(8190, "bytes of a request's line, and of each of its headers", 256, 65_536)
    MAX_FRAME_BYTES: int = _setting(16 * 2**20, "bytes of a stream's message", 1024)
    JOURNAL_BYTES: int = _setting(2**30, "bytes of an instance's journal", 4096)
    JOURNAL_DAYS: float = _setting(7.0, "days that a closed instance's journal is kept")
    MEDIA: bool = _setting(True, "make videos of submissions and of monitored episodes (with the extra media)")
    MEDIA_SECONDS: float = _setting(60.0, "a video is no longer", 1, 3600)
    MEDIA_WORK_SECONDS: float = _setting(
        600.0, "seconds of a processor that a video may take; what is there then is the video", 1
    )
    MEDIA_MEMORY_MB: int = _setting(4096, "memory of the process that makes videos, in MB", 64)
    S3_BUCKET: str = _setting(
        "", "bucket for videos, and for models that are pushed, S3-compatible; empty: they stay in DATA"
    )
    S3_ENDPOINT: str = _setting("", "its address, such as https://s3.example.org; empty: Amazon's")
    S3_REGION: str = _setting("", "its region")
    S3_ACCESS_KEY: str = _setting("", "the key to it", secret=True)
    S3_SECRET_KEY: str = _setting("", "and the secret of that", secret=True)
    STREAM_PING_SECONDS: float = _setting(
        20.0, "a silent stream is pinged after so long, dropped after three times it", 0.1
    )
    SHUTDOWN_SECONDS: float = _setting(30.0, "stopping may take so long", 1)
    TRAINING_ROLE: str = _setting("participant", "accounts of this role, and higher ones, may run experiments")
    MAX_CONCURRENT_EXPERIMENTS: int = _setting(3, "experiments that run at a time; others wait in a queue", 0, 1000)
    ACCOUNT_EXPERIMENTS: int = _setting(20, "experiments of one account that run or wait", 0)
    DEFAULT_TIMEOUT_MINUTES: float = _setting(60.0, "minutes that an experiment may run, if it does not say less", 0.01)
    EXPERIMENT_MEMORY_MB: int = _setting(4096, "memory of an experiment, in MB; one that takes more is ended", 64)
    EXPERIMENT_GRACE_SECONDS: float = _setting(
        10.0, "an experiment that is to end gets so long after SIGINT, and again after SIGTERM, before SIGKILL", 0.1
    )
    RUNNERS: dict[str, dict[str, Any]] = _setting(
        {}, "name → a program that experiments may run beside Stable-Baselines3: see docs/runners.md", secret=True
    )
    TRAINING_SERVERS: dict[str, str] = _setting(
        {}, "name → URL of a gymserve server on whose environments experiments may train"
    )
    TRAINING_TOKENS: dict[str, str] = _setting({}, "the same name → the API key for that server", secret=True)
    ASSISTANT_URL: str = _setting(
        "",
        "base of an OpenAI-compatible API, such as http://127.0.0.1:11434/v1, that writes the assistant's prose from its "
        "findings; empty: the rules' own text",
    )
    ASSISTANT_KEY: str = _setting("", "the key to it", secret=True)
    ASSISTANT_MODEL: str = _setting("", "the model that is asked there")
    ASSISTANT_SECONDS: float = _setting(30.0, "it may be silent for so long; then the rules' own text is served", 0.1)
    PRELOAD: bool = _setting(True, "import simulators before hosts are forked: quicker to create, more memory at rest")

    def to_json(self, *, secrets: bool = False) -> str:
        """For another process of the same server; those in which agents' environments live get no secrets."""
        return json.dumps({name: value for name, value in asdict(self).items() if secrets or name not in SECRET})


_FIELDS = {each.name: each for each in fields(Settings)}
SECRET = {name for name, each in _FIELDS.items() if each.metadata["secret"]}


def from_json(text: str) -> Settings:
    """The inverse of `Settings.to_json`."""
    return Settings(**json.loads(text))


def load(file: str | None, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Settings:
    """The settings from all their places.

    Args:
        file: the organiser's file; else $GYMSERVE_SETTINGS, else `localsettings.py` where there is one.
        overrides: what the command line says.

    Raises:
        SettingsError: a file is broken, a name is unknown, a value is out of its range.
    """
    values: dict[str, Any] = {}
    path = Path(file or environ.get(PREFIX + "SETTINGS") or "localsettings.py")
    if path.exists() or file or PREFIX + "SETTINGS" in environ:
        of_file, notes = old_settings.translated(_from_file(path), str(path))
        values |= {name: _checked(name, value, str(path)) for name, value in of_file.items()}
        _tell(notes)
    of_environment, notes = old_settings.of_environment(dict(environ))
    values |= {name: _checked(name, value, "the environment") for name, value in of_environment.items()}
    _tell(notes)
    for variable, text in variables.gathered(environ, Path(".env")).items():
        name = variable.removeprefix(PREFIX)
        if variable.startswith(PREFIX) and name not in NOT_SETTINGS:
            values[name] = _checked(name, _parsed(name, text, variable), f"the environment variable {variable}")
    values |= {name: _checked(name, value, "the command line") for name, value in overrides.items()}
    return Settings(**values)


def _tell(notes: list[str]) -> None:
    for note in notes:
        print(note, file=sys.stderr)


def _from_file(path: Path) -> dict[str, Any]:
    try:
        names = runpy.run_path(str(path))
    except SyntaxError as error:
        raise SettingsError(f"{path}, line {error.lineno}: {error.msg}") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:
        trace, line = error.__traceback__, 0
        while trace is not None:
            line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == str(path) else line
            trace = trace.tb_next
        raise SettingsError(f"{path}, line {line}: {type(error).__name__}: {error}") from error
    return {name: value for name, value in names.items() if name.isupper() and not name.startswith("_")}


def _known(name: str, place: str) -> None:
    if name not in _FIELDS:
        near = difflib.get_close_matches(name, _FIELDS, 1, 0.5)
        raise SettingsError(f"{place}: there is no setting {name}" + (f"; did you mean {near[0]}?" if near else ""))


def _parsed(name: str, text: str, place: str) -> Any:
    """The value that an environment variable's text stands for."""
    _known(name, place)
    kind = _kind(name)
    if kind is str:
        return text
    if kind is list and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return json.loads(text.lower() if kind is bool else text)
    except ValueError:
        return text  # refused by its type


def _kind(name: str) -> type:
    default = getattr(Settings(), name)
    return type(default)


def _checked(name: str, value: Any, place: str) -> Any:
    _known(name, place)
    kind, limits = _kind(name), _FIELDS[name].metadata
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind and not (kind is list and isinstance(value, tuple)):
        shown = "another kind of value" if name in SECRET else repr(value)
        raise SettingsError(f"{place}: {name} must be {_KINDS[kind]}, not {shown}")
    if kind in (int, float) and not limits["least"] <= value <= limits["most"]:
        raise SettingsError(f"{place}: {name} must be from {limits['least']:g} to {limits['most']:g}, not {value!r}")
    if value not in CHOICES.get(name, (value,)):
        *others, last = CHOICES[name]
        raise SettingsError(f"{place}: {name} must be {', '.join(others)} or {last}, not {value!r}")
    return list(value) if isinstance(value, tuple) else value


_KINDS = {
    str: "a string", int: "an integer", float: "a number", bool: "True or False", list: "a list of strings",
    dict: "a dictionary",
}  # fmt: skip


def _default(name: str) -> str:
    """The default as Python writes it; those that depend on the machine as what they are."""
    if name in ("WORKERS", "SHARED_HOSTS"):
        return "os.cpu_count()"
    return repr(getattr(Settings(), name))


def example() -> str:
    """The text of `localsettings.py.example`."""
    lines = [
        "# Settings of a gymserve server: copy to localsettings.py, and take the # away where a default does not suit.",
        "# Each can be given as an environment variable as well, such as GYMSERVE_PORT=8000, which goes first.",
        "import os  # noqa: F401",
    ]
    for name, each in _FIELDS.items():
        lines += ["", f"# {each.metadata['meaning']}", f"# {name} = {_default(name)}"]
    return "\n".join(lines) + "\n"


def table() -> str:
    """The text of `docs/settings.md`."""
    lines = [
        "# Settings",
        "",
        "Defaults < `localsettings.py` (or the file that `--settings` or `GYMSERVE_SETTINGS` names) < environment variables",
        "`GYMSERVE_<NAME>` (lists and dictionaries as JSON) < the command line. An unknown name is an error that names the",
        "nearest one. A file `.env` in the working directory may hold variables as well. The RL Agent Training API's are",
        "understood: `RL_API_HOST`, `_PORT`, `_DEBUG`, `_CORS_ORIGINS`, `_LOG_LEVEL`, `_LOG_DIR`, ",
        "`_MAX_CONCURRENT_EXPERIMENTS`, `_DEFAULT_TIMEOUT_MINUTES`, `_SECRET_KEY` (`SECRETS`), `_WORKERS`.",
        "",
        "| name | default | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| `{name}` | `{_default(name)}` | {each.metadata['meaning']} |" for name, each in _FIELDS.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table() if sys.argv[1:] == ["docs"] else example())
