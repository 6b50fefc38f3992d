"""The objects behind the views, made once for each application."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flask import current_app

from gymserve.accounts import Accounts, AccountSettings, audit
from gymserve.grader.server.boards.challenge_server import EmbeddedServer
from gymserve.grader.server.boards.leaderboard import Leaderboard
from gymserve.grader.server.competitions.competition import Competition
from gymserve.grader.server.competitions.teams import Teams
from gymserve.grader.server.reports import KEY_UNKNOWN
from gymserve.grader.server.reports.outbox import Outbox
from gymserve.grader.server.submissions.lifecycle import Submissions
from gymserve.grader.server.submissions.limits import SubmissionSettings
from gymserve.hosts.pool.instances import Instances
from gymserve.protocol.errors import InvalidRequest
from gymserve.recording.media import Media
from gymserve.settings import SECRET, Settings
from gymserve.system.keeper import BackgroundProcess, BackgroundThread, HourlyTask
from gymserve.system.launcher import Launcher
from gymserve.training.advice.prose import Writer
from gymserve.training.experiments.lifecycle import Experiments
from gymserve.training.experiments.metrics import Metrics
from gymserve.training.experiments.projects import Projects
from gymserve.training.experiments.quota import Quota
from gymserve.training.inference.client import Inference
from gymserve.training.models.registry import Models
from gymserve.training.plan import programs
from gymserve.training.plan.checker import Checker
from gymserve.training.plan.training_plan import SB3
from gymserve.training.playing.assignments import Assignments
from gymserve.training.scheduling.dry_runs import DRY_RUNS, DryRuns
from gymserve.training.sessions.lifecycle import TrainingSessions
from gymserve.training.sessions.records import Records
from gymserve.training.uploads.upload import Uploads
from gymserve.web.http.counts import Counts

KEY = "gymserve"  # in the application's extensions


@dataclass(frozen=True, kw_only=True)
class GradingParts:
    """The parts for challenges and their submissions."""

    competition: Competition
    submissions: Submissions
    teams: Teams
    embedded: EmbeddedServer
    leaderboard: Leaderboard

    @classmethod
    def of(cls, settings: Settings, accounts: Accounts, instances: Instances, media: Media) -> "GradingParts":
        data, database = instances.pool.data, accounts.database
        competition = Competition(database, data, functions=settings.SCORING_FUNCTIONS)
        outbox = Outbox.of(settings, database, data)
        return cls(
            competition=competition,
            submissions=Submissions(
                database, competition, instances, data, settings.pick(SubmissionSettings), outbox, media
            ),
            teams=Teams(database),
            embedded=EmbeddedServer(database, competition),
            leaderboard=Leaderboard(database, competition),
        )

    @property
    def is_reported(self) -> bool:
        """Whether submissions are reported to an external challenge server."""
        return self.submissions.outbox.server is not None

    def participant(self, key: str) -> str:
        """Return the id of the external challenge server's participant with this key.

        Raises:
            InvalidRequest: there is no such server, or it does not know the key.
            Unavailable: the server did not answer.
        """
        if (server := self.submissions.outbox.server) is None:
            raise InvalidRequest(KEY_UNKNOWN)
        return server.participant(key)


@dataclass(frozen=True, kw_only=True)
class TrainingParts:
    """The parts for experiments and their models."""

    projects: Projects
    dry_runs: DryRuns
    checker: Checker
    experiments: Experiments
    metrics: Metrics
    models: Models
    uploads: Uploads
    inference: Inference
    assignments: Assignments
    sessions: TrainingSessions
    records: Records
    writer: Writer | None

    @classmethod
    def of(
        cls, settings: Settings, accounts: Accounts, instances: Instances, media: Media, wake: Callable[[], None]
    ) -> "TrainingParts":
        """Make the parts; `wake` is called when there may be work for a background process."""
        data, database = instances.pool.data, accounts.database
        dry_runs = DryRuns(data / DRY_RUNS, wake)
        runners = programs.read(settings.RUNNERS)
        checker = Checker(
            instances.catalogue,
            runners,
            instances.pool.spaces,
            dry_runs.check,
            minutes=settings.DEFAULT_TIMEOUT_MINUTES,
            servers=settings.TRAINING_SERVERS,
        )
        quota = Quota(database, data, kept=settings.ACCOUNT_KEPT, megabytes=settings.ACCOUNT_STORAGE_MB)
        experiments = Experiments(
            database, checker, data / "experiments", most=settings.ACCOUNT_EXPERIMENTS, quota=quota
        )
        metrics = Metrics(database)
        models = Models(database, data / "models", experiments.folder, media.bucket, quota)
        sessions = TrainingSessions(database, experiments, models)
        return cls(
            projects=Projects(database, list(dict.fromkeys((SB3, *runners, *programs.PRESETS))), quota),
            dry_runs=dry_runs,
            checker=checker,
            experiments=experiments,
            metrics=metrics,
            models=models,
            uploads=Uploads(
                models,
                checker,
                variables=settings.ENVIRONMENT_VARIABLES,
                modules=settings.ENVIRONMENT_MODULES,
            ),
            inference=Inference(data, wake),
            assignments=Assignments(data / "playing"),
            sessions=sessions,
            records=Records(sessions, metrics),
            writer=Writer.of(settings),
        )

    def has_work(self) -> bool:
        """Whether the scheduler has anything to do."""
        return self.dry_runs.has_work() or self.experiments.has_work()


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Every part that views call."""

    settings: Settings
    accounts: Accounts
    instances: Instances
    media: Media
    grading: GradingParts
    training: TrainingParts
    background: BackgroundThread
    counts: Counts

    @classmethod
    def of(cls, settings: Settings) -> "Backend":
        """Make the parts; background processes start when the first one is needed."""
        background = BackgroundThread()
        instances = Instances.of(settings)
        accounts = Accounts(settings.pick(AccountSettings))
        media = Media.of(settings, instances.pool.data)
        grading = GradingParts.of(settings, accounts, instances, media)
        training = TrainingParts.of(settings, accounts, instances, media, background.wake)
        background.parts = (
            *_processes(settings, grading, training, media),
            _cleanup(instances.pool.data, accounts, grading, days=settings.AUDIT_DAYS),
        )
        return cls(
            settings=settings,
            accounts=accounts,
            instances=instances,
            media=media,
            grading=grading,
            training=training,
            background=background,
            counts=Counts(instances.pool),
        )


def _processes(
    settings: Settings, grading: GradingParts, training: TrainingParts, media: Media
) -> tuple[BackgroundProcess, ...]:
    """List the background processes. Those that run environments get no more secrets than they need."""
    with_secrets, with_bucket, without_secrets = (
        Launcher.of(settings, secrets=names) for names in (SECRET, ("S3_ACCESS_KEY", "S3_SECRET_KEY"), ())
    )
    submissions = grading.submissions
    return (
        BackgroundProcess(
            "gymserve.grader.server.submissions.worker",
            lease="grading",
            has_work=submissions.has_work,
            launcher=with_secrets,
        ),
        BackgroundProcess(
            "gymserve.grader.server.reports.reporter",
            lease="reporting",
            has_work=submissions.outbox.has_work,
            launcher=with_secrets,
        ),
        BackgroundProcess(
            "gymserve.training.scheduling.scheduler",
            lease="training",
            has_work=training.has_work,
            launcher=with_secrets,
        ),
        BackgroundProcess("gymserve.recording.worker", lease="filming", has_work=media.has_work, launcher=with_bucket),
        BackgroundProcess(
            "gymserve.training.inference.server",
            lease="answering",
            has_work=training.inference.has_work,
            launcher=without_secrets,
        ),
        BackgroundProcess(
            "gymserve.training.playing.player",
            lease="playing-lease",
            has_work=training.assignments.has_work,
            launcher=without_secrets,
        ),
    )


def _cleanup(data: Path, accounts: Accounts, grading: GradingParts, *, days: float) -> HourlyTask:
    """Make the task that removes old records, which no other process does."""

    def clean_up() -> None:
        audit.remove_old(accounts.database, days)
        grading.submissions.storage.sweep()

    return HourlyTask("the cleanup", clean_up, lease=data / "sweeping")


def backend() -> Backend:
    """Return the current application's parts."""
    parts: Backend = current_app.extensions[KEY]
    return parts


def grading() -> GradingParts:
    """Return the current application's parts for challenges."""
    return backend().grading


def training() -> TrainingParts:
    """Return the current application's parts for training."""
    return backend().training
