"""The settings that the supervisor and its parts read, see `docs/settings.md`."""

from dataclasses import dataclass

from gymserve.hosts.host.settings import HostSettings


@dataclass(frozen=True, kw_only=True)
class SlotSettings:
    """The settings of `Slots`."""

    max_instances: int
    shared_hosts: int
    max_dedicated_hosts: int
    max_graded_hosts: int


@dataclass(frozen=True, kw_only=True)
class QuotaSettings:
    """The settings of `Quotas`."""

    max_streams: int
    account_instances: int
    account_streams: int
    account_storage_mb: int
    journal_days: float


@dataclass(frozen=True, kw_only=True)
class SupervisorSettings:
    """The settings of `Supervisor`, and those that it hands to its parts."""

    data: str
    prepared_hosts: int
    max_dedicated_hosts: int
    host_memory_mb: int
    idle_seconds: float
    step_seconds: float
    restart_seconds: float
    journal_days: float
    shutdown_seconds: float
    slots: SlotSettings
    quotas: QuotaSettings
    host: HostSettings
