"""Generates `localsettings.py.example` and `docs/settings.md` from the table of settings."""

from gymserve.settings.table import FIELDS, Settings


def _default(name: str) -> str:
    """The default as a Python expression; for defaults that depend on the machine, the expression itself."""
    if name == "WORKERS":
        return "max(2, os.cpu_count())"
    if name == "SHARED_HOSTS":
        return "os.cpu_count()"
    return repr(getattr(Settings(), name))


def example() -> str:
    """The text of `localsettings.py.example`."""
    lines = [
        "# Settings of a gymserve server: copy to localsettings.py, and uncomment the settings that you want to change.",
        "# Each can also be an environment variable, for example GYMSERVE_PORT=8000, which overrides this file.",
        "import os  # noqa: F401",
    ]
    for name, each in FIELDS.items():
        lines += ["", f"# {each.metadata['meaning']}", f"# {name} = {_default(name)}"]
    return "\n".join(lines) + "\n"


def table() -> str:
    """The text of `docs/settings.md`."""
    lines = [
        "# Settings",
        "",
        "Settings come from these sources; each overrides those before it:",
        "",
        "1. the defaults below,",
        "2. `localsettings.py`, or the file that `--settings` or `GYMSERVE_SETTINGS` names,",
        "3. environment variables `GYMSERVE_<NAME>`, with lists and dictionaries as JSON,",
        "4. the command line.",
        "",
        "An unknown name is an error that suggests the nearest known one. Environment variables may also be",
        "in a `.env` file in the working directory (`cp .env.example .env`), whose syntax is python-dotenv's:",
        "values may be quoted, a comment may follow them, and `${NAME}` stands for itself.",
        "",
        "The RL Agent Training API's variables are also accepted: `RL_API_HOST`, `_PORT`, `_DEBUG`,",
        "`_CORS_ORIGINS`, `_LOG_LEVEL`, `_LOG_DIR`, `_MAX_CONCURRENT_EXPERIMENTS`,",
        "`_DEFAULT_TIMEOUT_MINUTES`, `_SECRET_KEY` (as `SECRETS`) and `_WORKERS`. `_RELOAD` and",
        "`_LOG_FORMAT` have no effect; the server says so when it starts. Instead of",
        "`create_api_config(base_dir=…, max_concurrent_experiments=…)`, set `DATA` and",
        "`MAX_CONCURRENT_EXPERIMENTS`.",
        "",
        "| name | default | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| `{name}` | `{_default(name)}` | {each.metadata['meaning']} |" for name, each in FIELDS.items()]
    return "\n".join(lines) + "\n"
