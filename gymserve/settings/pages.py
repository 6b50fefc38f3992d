"""The settings as text: an example of `localsettings.py`, and the page of the documentation."""

from gymserve.settings.table import FIELDS, Settings


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
    for name, each in FIELDS.items():
        lines += ["", f"# {each.metadata['meaning']}", f"# {name} = {_default(name)}"]
    return "\n".join(lines) + "\n"


def table() -> str:
    """The text of `docs/settings.md`."""
    lines = [
        "# Settings",
        "",
        "Defaults < `localsettings.py` (or the file that `--settings` or `GYMSERVE_SETTINGS` names) < environment variables",
        "`GYMSERVE_<NAME>` (lists and dictionaries as JSON) < the command line. An unknown name is an error that names the",
        "nearest one. A file `.env` in the working directory may hold variables as well (`cp .env.example .env`). The RL Agent",
        "Training API's are understood: `RL_API_HOST`, `_PORT`, `_DEBUG`, `_CORS_ORIGINS`, `_LOG_LEVEL`, `_LOG_DIR`, ",
        "`_MAX_CONCURRENT_EXPERIMENTS`, `_DEFAULT_TIMEOUT_MINUTES`, `_SECRET_KEY` (`SECRETS`), `_WORKERS`; `_RELOAD` and",
        "`_LOG_FORMAT` have no effect, which is said when the server starts. What `create_api_config(base_dir=…,",
        "max_concurrent_experiments=…)` configured are `DATA` and `MAX_CONCURRENT_EXPERIMENTS`.",
        "",
        "| name | default | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| `{name}` | `{_default(name)}` | {each.metadata['meaning']} |" for name, each in FIELDS.items()]
    return "\n".join(lines) + "\n"
