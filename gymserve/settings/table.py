"""The settings: name, default, limits, meaning."""

import json
import os
from collections.abc import Collection
from dataclasses import Field, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

URLS = ("CHALLENGE_SERVER_URL", "ASSISTANT_URL", "S3_ENDPOINT")
CHOICES = {
    "LOG_LEVEL": ("debug", "info", "warning", "error"),
    "AUTH": ("open", "token"),
    "TRAINING_ROLE": ("participant", "organiser", "admin"),
}


class Slice(Protocol):
    """A dataclass with the settings that one part reads: each field has the name of a setting in lower case, or is a slice."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


SliceT = TypeVar("SliceT", bound=Slice)


def _setting(
    default: object, meaning: str, least: float = 0, most: float = float("inf"), *, secret: bool = False
) -> Any:
    metadata = {"meaning": meaning, "least": least, "most": most, "secret": secret}
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata, repr=not secret)
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True)
class Settings:
    """A server's settings; `_setting` gives each its default, its meaning for the documentation, and its limits."""

    HOST: str = _setting("127.0.0.1", "address to listen on")
    PORT: int = _setting(5000, "port to listen on; 0 picks a free one", 0, 65535)
    WORKERS: int = _setting(
        max(2, os.cpu_count() or 1), "number of gunicorn workers; by default one per core, at least two", 1, 256
    )
    THREADS: int = _setting(64, "threads per worker", 2, 4096)
    DATA: str = _setting("gymserve-data", "data directory: journals and everything else that the server stores")
    DATABASE: str = _setting(
        "", "URL of a PostgreSQL or MariaDB/MySQL database; if empty, an SQLite file in DATA", secret=True
    )
    AUTH: str = _setting(
        "open", "open: anyone who can reach the server may do everything; token: accounts, API keys and roles"
    )
    FORCE_OPEN: bool = _setting(False, 'allow AUTH = "open" on an address that other machines can reach')
    SIGN_UP: bool = _setting(False, "let anyone create an account")
    SECRETS: list[str] = _setting(
        [],
        "keys that sign logins: the first signs, the others are still accepted; if empty, one is created in DATA",
        secret=True,
    )
    LOGIN_HOURS: float = _setting(24.0, "hours until a login expires", 0.01, 8760)
    PASSWORD_LENGTH: int = _setting(6, "minimum length of a new password", 1, 100)
    TRUSTED_HOSTS: list[str] = _setting(
        [],
        'host names that the server answers to, for example "gym.example.org" or ".example.org"; if '
        "empty, see docs/security.md",
    )
    CORS_ORIGINS: list[str] = _setting([], 'origins whose pages may call this server, or "*" for all')
    PROXIES: int = _setting(0, "number of reverse proxies in front whose X-Forwarded-* headers are trusted", 0, 10)
    LOG_LEVEL: str = _setting("info", "debug, info, warning or error")
    LOG_DIR: str = _setting(
        "",
        "directory for log files, one JSON object per line, a new file each day; if empty, log to standard error only",
    )
    LOG_FILE_MB: int = _setting(100, "start a new log file when one reaches this size in MB", 1)
    LOG_DAYS: int = _setting(30, "days to keep log files", 1)
    ENVIRONMENT_MODULES: list[str] = _setting([], "modules that register environments, to import at startup")
    ENVIRONMENT_KWARGS: dict[str, list[str]] = _setting(
        {}, "environment id → names of the kwargs that agents may pass, in addition to the built-in ones"
    )
    ENVIRONMENT_VARIABLES: dict[str, str] = _setting(
        {}, "environment variables for all processes that run environments: hosts, graders, videos and training"
    )
    SHARED_ENVIRONMENTS: list[str] = _setting(
        [], "ids or module prefixes of light, trusted environments that may share a host: see docs/operations.md"
    )
    SCORING_FUNCTIONS: list[str] = _setting(
        [], 'functions that challenges may be scored with, each as "module:function"'
    )
    CHALLENGE_SERVER_URL: str = _setting(
        "",
        "base URL of a challenge server's API, for example https://example.org/api; it checks keys and receives scores",
    )
    CHALLENGE_SERVER_TOKEN: str = _setting(
        "", "token that authenticates this server to the challenge server", secret=True
    )
    CHALLENGE_CLIENT_NAME: str = _setting(
        "", "name of all challenges on the challenge server; if empty, each challenge's own name"
    )
    CHALLENGE_ID: str = _setting(
        "", "number of the challenge on the challenge server, if that server has no client names"
    )
    CHALLENGE_ROUND_ID: str = _setting("", "round of the challenge on the challenge server")
    REPORT_DAYS: float = _setting(
        7.0, "days before giving up on a report that the challenge server does not accept", 0.01
    )
    SHARED_HOSTS: int = _setting(os.cpu_count() or 1, "number of host processes for light environments", 1, 1024)
    MAX_INSTANCES: int = _setting(10_000, "maximum number of instances", 1)
    MAX_DEDICATED_HOSTS: int = _setting(200, "maximum number of instances with a host process of their own", 0)
    MAX_GRADED_HOSTS: int = _setting(
        1000, "maximum number of running submissions in light environments; each has a host process of its own", 0
    )
    PREPARED_HOSTS: int = _setting(
        1,
        "number of warm hosts, each with an environment of a recently requested kind that needs its own host",
        0,
        100,
    )
    MAX_STREAMS: int = _setting(10_000, "maximum number of streams", 1)
    ACCOUNT_INSTANCES: int = _setting(100, "maximum number of instances per account", 0)
    ACCOUNT_STREAMS: int = _setting(100, "maximum number of streams per account", 0)
    ACCOUNT_STORAGE_MB: int = _setting(
        10_240,
        "storage quota per account in MB; applies separately to instances and uploads, to experiments "
        "and models, and to submissions",
        0,
    )
    ACCOUNT_KEPT: int = _setting(
        1000, "maximum number of projects per account; the same limit applies to experiments and to models", 0
    )
    REQUESTS_PER_MINUTE: int = _setting(
        6000,
        "maximum requests per minute, not counting steps, per account (per address without an account); 0: unlimited",
        0,
    )
    STEPS_PER_SECOND: int = _setting(
        0, "maximum steps per second per account; each copy in a vector instance counts; 0: unlimited", 0
    )
    LOGIN_ATTEMPTS: int = _setting(5, "wrong passwords allowed in a row; after that, one every 30 seconds", 1)
    SIGN_UPS_PER_HOUR: int = _setting(10, "maximum number of new accounts per hour from one address", 1)
    MAX_NUM_ENVS: int = _setting(4096, "maximum number of copies in a vector instance", 1)
    HOST_MEMORY_MB: int = _setting(4096, "memory limit of a host process in MB; a host that exceeds it is ended", 64)
    IDLE_SECONDS: float = _setting(3600.0, "close an instance that has not been used for this many seconds", 0.1)
    PHASE_GRACE_SECONDS: float = _setting(
        3600.0,
        "seconds that a submission may continue after its phase has ended, if its challenge sets no submission_seconds",
        0,
    )
    STEP_SECONDS: float = _setting(30.0, "time limit in seconds for one call to an environment", 0.1)
    REVIVE_SECONDS: float = _setting(60.0, "time limit in seconds for replaying an episode after a crash", 0.1)
    RESTART_SECONDS: float = _setting(
        10.0, "longest delay in seconds before a host that crashes repeatedly is restarted"
    )
    MAX_BODY_BYTES: int = _setting(16 * 2**20, "maximum size of a request body in bytes", 1024)
    MAX_HEADER_BYTES: int = _setting(8190, "maximum size of the request line and of each header in bytes", 256, 65_536)
    MAX_FRAME_BYTES: int = _setting(16 * 2**20, "maximum size of a message on a stream in bytes", 1024)
    JOURNAL_BYTES: int = _setting(2**30, "maximum size of an instance's journal in bytes", 4096)
    JOURNAL_DAYS: float = _setting(7.0, "days to keep the journal of a closed instance")
    SUBMISSION_DAYS: float = _setting(
        365.0, "days to keep journals and videos of submissions after their phase has ended"
    )
    AUDIT_DAYS: float = _setting(365.0, "days to keep entries of the audit log")
    MEDIA: bool = _setting(True, 'make videos of submissions and of monitored episodes (requires the extra "media")')
    MEDIA_SECONDS: float = _setting(60.0, "maximum length of a video in seconds", 1, 3600)
    MEDIA_WORK_SECONDS: float = _setting(
        600.0, "CPU time in seconds for making one video; a video that uses it up ends there", 1
    )
    MEDIA_MEMORY_MB: int = _setting(4096, "memory limit of the process that makes videos, in MB", 64)
    S3_BUCKET: str = _setting("", "S3-compatible bucket for videos and for pushed models; if empty, they stay in DATA")
    S3_ENDPOINT: str = _setting(
        "", "URL of the bucket's server, for example https://s3.example.org; if empty, Amazon S3"
    )
    S3_REGION: str = _setting("", "region of the bucket")
    S3_ACCESS_KEY: str = _setting("", "access key of the bucket", secret=True)
    S3_SECRET_KEY: str = _setting("", "secret key of the bucket", secret=True)
    STREAM_PING_SECONDS: float = _setting(
        20.0, "ping a stream that has been idle for this many seconds; drop it after three times as long", 0.1
    )
    SHUTDOWN_SECONDS: float = _setting(30.0, "time limit in seconds for stopping the server", 1)
    TRAINING_ROLE: str = _setting("participant", "lowest role that may run experiments")
    MAX_CONCURRENT_EXPERIMENTS: int = _setting(
        3, "maximum number of experiments that run at the same time; others are queued", 0, 1000
    )
    ACCOUNT_EXPERIMENTS: int = _setting(20, "maximum number of running and queued experiments per account", 0)
    DEFAULT_TIMEOUT_MINUTES: float = _setting(
        60.0, "time limit of an experiment in minutes, unless it sets a shorter one", 0.01
    )
    EXPERIMENT_STORAGE_MB: int = _setting(
        4096, "storage limit of an experiment in MB; an experiment that exceeds it is ended", 1
    )
    EXPERIMENT_MEMORY_MB: int = _setting(
        4096, "memory limit of an experiment in MB; an experiment that exceeds it is ended", 64
    )
    EXPERIMENT_GRACE_SECONDS: float = _setting(
        10.0, "seconds between SIGINT, SIGTERM and SIGKILL when an experiment is stopped", 0.1
    )
    RUNNERS: dict[str, dict[str, object]] = _setting(
        {},
        "name → training program that experiments may use instead of Stable-Baselines3: see docs/runners.md",
        secret=True,
    )
    TRAINING_SERVERS: dict[str, str] = _setting(
        {}, "name → URL of another gymserve server on whose environments experiments may train"
    )
    TRAINING_TOKENS: dict[str, str] = _setting({}, "name in TRAINING_SERVERS → API key for that server", secret=True)
    ASSISTANT_URL: str = _setting(
        "",
        "base URL of an OpenAI-compatible API that phrases the assistant's findings, for example "
        "http://127.0.0.1:11434/v1; if empty, the assistant uses its built-in text",
    )
    ASSISTANT_KEY: str = _setting("", "API key for ASSISTANT_URL", secret=True)
    ASSISTANT_MODEL: str = _setting("", "model to use at ASSISTANT_URL")
    ASSISTANT_SECONDS: float = _setting(30.0, "seconds to wait for ASSISTANT_URL before using the built-in text", 0.1)
    PRELOAD: bool = _setting(
        True,
        "import simulators before hosts are forked: instances are created faster, but the idle server "
        "needs more memory",
    )

    @property
    def is_local(self) -> bool:
        """Whether anyone on this machine may do everything, so that other machines must not reach the server."""
        return self.AUTH == "open" and not self.FORCE_OPEN

    def pick(self, kind: type[SliceT]) -> SliceT:
        """The settings that one part reads, as the slice that it declares."""
        values = {
            each.name: self.pick(each.type)
            if isinstance(each.type, type) and is_dataclass(each.type)
            else getattr(self, each.name.upper())
            for each in fields(kind)
        }
        return kind(**values)

    def to_json(self, *, secrets: Collection[str] = ()) -> str:
        """The settings as JSON, for another process of the server, with an absolute data directory.

        Args:
            secrets: the names of the secret settings that the process needs; one that runs environments should get none.
        """
        values = asdict(self) | {"DATA": str(Path(self.DATA).resolve())}
        return json.dumps({name: value for name, value in values.items() if name in secrets or name not in SECRET})


FIELDS = {each.name: each for each in fields(Settings)}
SECRET = {name for name, each in FIELDS.items() if each.metadata["secret"]}


def from_json(text: str) -> Settings:
    """Reads settings that `Settings.to_json` wrote."""
    return Settings(**json.loads(text))
