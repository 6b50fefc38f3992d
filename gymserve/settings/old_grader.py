"""The names of the old grader's localsettings.py: what each is called now, or what has taken its place."""

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
TEXTS = {"CROWDAI_CHALLENGE_ID", "CROWDAI_ROUND_ID"}  # that were numbers
REPLACED = {
    "REDIS_HOST": "nothing: journals and DATABASE hold what Redis held",
    "REDIS_PORT": "nothing: journals and DATABASE hold what Redis held",
    "DISPLAY": "nothing: no screen is needed",
    "CROWDAI_REPLAY_DATA_VERSION": "nothing: journals are versioned, and replayed from any version",
    "CROWDAI_ENV_DIFFICULTY": "trials.variants with options = { difficulty = … } in the challenge's file",
    "SEED_MAP": "the secret in <data>/seeds, from which all trials' seeds come",
    "RENDER_LOGO": "nothing: videos name the challenge and the trial",
    "DISABLE_VERIFICATION": "nothing: every submission is verified, beside the agents' way",
    "SUBMISSION_WINDOW_TTL": "limits.submissions_per_day in the challenge's file, whose window is a day",
    "MAX_SUBMISSIONS_PER_WINDOW": "limits.submissions_per_day in the challenge's file",
}
FROM_ENVIRONMENT = ("CROWDAI_ENV_DIFFICULTY", "CROWDAI_ROUND_ID", "CROWDAI_SERVE_PORT")


class Translated(NamedTuple):
    """`values` by today's names; `notes`: a line for each old name, of what became of it."""

    values: dict[str, Any]
    notes: list[str]


def translated(values: dict[str, Any], place: str) -> Translated:
    """Settings with old names among them, as today's. Where both are given, today's name goes first."""
    told: dict[str, Any] = {}
    notes = []
    for name, value in values.items():
        if name == "DEBUG_MODE":
            told.setdefault("LOG_LEVEL", "debug" if value else "info")
            notes.append(f"{place}: DEBUG_MODE is now LOG_LEVEL")
        elif name in REPLACED:
            notes.append(f"{place}: {name} is no setting any more; in its place: {REPLACED[name]}")
        elif name in RENAMED:
            notes.append(f"{place}: {name} is now {RENAMED[name]}")
            if value is not None:
                told.setdefault(RENAMED[name], str(value) if name in TEXTS else value)
    return Translated(told | {name: value for name, value in values.items() if not _is_old(name)}, notes)


def of_environment(environ: dict[str, str]) -> Translated:
    """What the environment variables of the old grader say."""
    given: dict[str, Any] = {name: environ[name] for name in FROM_ENVIRONMENT if name in environ}
    if given.get("CROWDAI_SERVE_PORT", "").isdigit():
        given["CROWDAI_SERVE_PORT"] = int(given["CROWDAI_SERVE_PORT"])
    return translated(given, "the environment")


def _is_old(name: str) -> bool:
    return name in RENAMED or name in REPLACED or name == "DEBUG_MODE"
