"""All tables. Times are in UTC, and ids are never reused."""

from gymserve.store.accounts import (
    ACCOUNT_PREFIX,
    REMOTE_PREFIX,
    ROLES,
    TEAM_PREFIX,
    Account,
    ApiKey,
    AuditEntry,
    Invitation,
)
from gymserve.store.challenges import (
    ChallengeRow,
    ChallengeVersion,
    ExternalEntry,
    PhaseKey,
    RemoteEntry,
    Report,
    Submission,
    Team,
    TeamMember,
)
from gymserve.store.columns import Count, Long, Moment, TableModel, now
from gymserve.store.training import Experiment, Metric, Policy, Project, TrainingSession

__all__ = [
    "ACCOUNT_PREFIX",
    "REMOTE_PREFIX",
    "ROLES",
    "TEAM_PREFIX",
    "Account",
    "ApiKey",
    "AuditEntry",
    "ChallengeRow",
    "ChallengeVersion",
    "Count",
    "Experiment",
    "ExternalEntry",
    "Invitation",
    "Long",
    "Metric",
    "Moment",
    "PhaseKey",
    "Policy",
    "Project",
    "RemoteEntry",
    "Report",
    "Submission",
    "TableModel",
    "Team",
    "TeamMember",
    "TrainingSession",
    "now",
]
