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
    Challenge,
    ChallengeVersion,
    ExternalEntry,
    PhaseKey,
    RemoteEntry,
    Report,
    Submission,
    Team,
    TeamMember,
)
from gymserve.store.columns import Count, Long, Model, Moment, now
from gymserve.store.training import Experiment, Metric, Policy, Project, TrainingSession

__all__ = [
    "ACCOUNT_PREFIX",
    "REMOTE_PREFIX",
    "ROLES",
    "TEAM_PREFIX",
    "Account",
    "ApiKey",
    "AuditEntry",
    "Challenge",
    "ChallengeVersion",
    "Count",
    "Experiment",
    "ExternalEntry",
    "Invitation",
    "Long",
    "Metric",
    "Model",
    "Moment",
    "PhaseKey",
    "Policy",
    "Project",
    "RemoteEntry",
    "Report",
    "Submission",
    "Team",
    "TeamMember",
    "TrainingSession",
    "now",
]
