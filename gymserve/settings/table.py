"""The settings: name, default, limits, meaning."""

import json
import os
from dataclasses import asdict, dataclass, field, fields
from typing import Any

URLS = ("CHALLENGE_SERVER_URL", "ASSISTANT_URL", "S3_ENDPOINT")
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
    ENVIRONMENT_VARIABLES: dict[str, str] = _setting(
        {}, "environment variables of all processes in which environments live: hosts, graders, videos and training"
    )
    SHARED_ENVIRONMENTS: list[str] = _setting(
        [], "ids, or module prefixes, of light, trusted environments that may share a host: see docs/operations.md"
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
    MAX_GRADED_HOSTS: int = _setting(
        1000, "submissions under way in light environments, each of which has a host process of its own", 0
    )
    PREPARED_HOSTS: int = _setting(
        1,
        "hosts kept ready with an environment of the kinds last asked for, of those that have a host of their own",
        0,
        100,
    )
    MAX_STREAMS: int = _setting(10_000, "streams in all", 1)
    ACCOUNT_INSTANCES: int = _setting(100, "instances of one account", 0)
    ACCOUNT_STREAMS: int = _setting(100, "streams of one account", 0)
    ACCOUNT_STORAGE_MB: int = _setting(
        10_240,
        "MB of one account's instances and uploads, again of its experiments and models, and again of its submissions",
        0,
    )
    ACCOUNT_KEPT: int = _setting(1000, "projects, experiments and models that one account may keep, of each", 0)
    REQUESTS_PER_MINUTE: int = _setting(
        6000, "requests of one account, or of one stranger's address, but steps; 0: any", 0
    )
    STEPS_PER_SECOND: int = _setting(0, "steps of one account, of each copy in a vector instance; 0: any", 0)
    LOGIN_ATTEMPTS: int = _setting(5, "wrong passwords that are taken at once; then one each half minute", 1)
    SIGN_UPS_PER_HOUR: int = _setting(10, "new accounts from one address", 1)
    MAX_NUM_ENVS: int = _setting(4096, "copies in a vector instance", 1)
    HOST_MEMORY_MB: int = _setting(4096, "memory of a host's own, in MB; a host that takes more is ended", 64)
    IDLE_SECONDS: float = _setting(3600.0, "an instance that nobody uses for so long is closed", 0.1)
    PHASE_GRACE_SECONDS: float = _setting(
        3600.0,
        "a submission may go on for so long after its phase is over, if its challenge has no submission_seconds",
        0,
    )
    STEP_SECONDS: float = _setting(30.0, "one call into an environment may take so long", 0.1)
    REVIVE_SECONDS: float = _setting(60.0, "replaying an episode after a crash may take so long", 0.1)
    RESTART_SECONDS: float = _setting(10.0, "the longest wait before a host that keeps dying is started again")
    MAX_BODY_BYTES: int = _setting(16 * 2**20, "bytes of a request's body", 1024)
    MAX_HEADER_BYTES: int = _setting(8190, "bytes of a request's line, and of each of its headers", 256, 65_536)
    MAX_FRAME_BYTES: int = _setting(16 * 2**20, "bytes of a stream's message", 1024)
    JOURNAL_BYTES: int = _setting(2**30, "bytes of an instance's journal", 4096)
    JOURNAL_DAYS: float = _setting(7.0, "days that a closed instance's journal is kept")
    SUBMISSION_DAYS: float = _setting(365.0, "days that journals and videos of submissions are kept after their phase")
    AUDIT_DAYS: float = _setting(365.0, "days that entries of the audit log are kept")
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
    EXPERIMENT_STORAGE_MB: int = _setting(4096, "MB that an experiment may write; one that writes more is ended", 1)
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


FIELDS = {each.name: each for each in fields(Settings)}
SECRET = {name for name, each in FIELDS.items() if each.metadata["secret"]}


def from_json(text: str) -> Settings:
    """The inverse of `Settings.to_json`."""
    return Settings(**json.loads(text))
