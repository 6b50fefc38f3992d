"""Translates the old grader's localsettings.py: the new name of each setting, or what replaced it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

RENAMED = {
    "CROWDAI_URL": "CHALLENGE_SERVER_URL",
    "CROWDAI_TOKEN": "CHALLENGE_SERVER_TOKEN",
    "CROWDAI_CHALLENGE_CLIENT_NAME": "CHALLENGE_CLIENT_NAME",
    "CROWDAI_CHALLENGE_ID": "CHALLENGE_ID",
    "CROWDAI_ROUND_ID": "CHALLENGE_ROUND_ID",
    "CROWDAI_SERVE_PORT": "PORT",
    "ENV_TTL": "IDLE_SECONDS",
    "MAX_PARALLEL_ENVS": "MAX_INSTANCES",
}
TEXTS = {"CROWDAI_CHALLENGE_ID", "CROWDAI_ROUND_ID"}  # numbers in the old file, strings now
REPLACED = {
    "REDIS_HOST": "nothing: journals and DATABASE store what Redis stored",
    "REDIS_PORT": "nothing: journals and DATABASE store what Redis stored",
    "DISPLAY": "nothing: no display is needed",
    "CROWDAI_REPLAY_DATA_VERSION": "nothing: journals are versioned, and any version can be replayed",
    "CROWDAI_ENV_DIFFICULTY": "trials.variants with options = { difficulty = … } in the challenge's file",
    "SEED_MAP": "the secret in <data>/seeds, from which all trials' seeds come",
    "RENDER_LOGO": "nothing: videos name the challenge and the trial",
    "DISABLE_VERIFICATION": "nothing: every submission is verified in the background",
    "SUBMISSION_WINDOW_TTL": "limits.submissions_per_day in the challenge's file, whose window is a day",
    "MAX_SUBMISSIONS_PER_WINDOW": "limits.submissions_per_day in the challenge's file",
}
FROM_ENVIRONMENT = ("CROWDAI_ENV_DIFFICULTY", "CROWDAI_ROUND_ID", "CROWDAI_SERVE_PORT")


class Translated(NamedTuple):
    """`values`: settings by their new names; `notes`: a line for each old name, which says what replaced it."""

    values: dict[str, Any]
    notes: list[str]


def translate(values: Mapping[str, object], source: str) -> Translated:
    """Translates old names among settings; a new name overrides the old name of the same setting."""
    renamed: dict[str, object] = {}
    notes = []
    for name, value in values.items():
        if name == "DEBUG_MODE":
            renamed.setdefault("LOG_LEVEL", "debug" if value else "info")
            notes.append(f"{source}: DEBUG_MODE is now LOG_LEVEL")
        elif name in REPLACED:
            notes.append(f"{source}: {name} is no longer a setting; replaced by {REPLACED[name]}")
        elif name in RENAMED:
            notes.append(f"{source}: {name} is now {RENAMED[name]}")
            if value is not None:
                renamed.setdefault(RENAMED[name], str(value) if name in TEXTS else value)
    return Translated(renamed | {name: value for name, value in values.items() if not _is_old(name)}, notes)


def from_environment(environ: dict[str, str]) -> Translated:
    """The settings in the old grader's environment variables."""
    variables: dict[str, Any] = {name: environ[name] for name in FROM_ENVIRONMENT if name in environ}
    if variables.get("CROWDAI_SERVE_PORT", "").isdigit():
        variables["CROWDAI_SERVE_PORT"] = int(variables["CROWDAI_SERVE_PORT"])
    return translate(variables, "the environment")


def _is_old(name: str) -> bool:
    return name in RENAMED or name in REPLACED or name == "DEBUG_MODE"
