"""Media, as the rest of the server sees them: ordered, looked at, fetched. They are made by `recording.worker`."""

import importlib.util
import time
from collections.abc import Container
from pathlib import Path
from typing import IO, Any

from gymserve.outside import bucket
from gymserve.outside.bucket import Bucket
from gymserve.recording.jobs import EXPERIMENT, MONITOR, SUBMISSION, Order, Orders
from gymserve.recording.recordings import Artefacts
from gymserve.settings import Settings

NONE, WAITING, MAKING, MADE, FAILED = "none", "waiting", "being made", "made", "failed"
FACTS = (
    "files", "width", "height", "frames", "frames_per_second", "seconds", "speed", "shown", "episodes", "complete", "agrees",
)  # fmt: skip


class Media:
    """Videos and pictures of everything.

    Args:
        data: the server's data directory.
        store: where they are kept in the end; None: in that directory.
        is_on: whether videos are made, where PyAV is installed.
    """

    def __init__(self, data: Path, store: Bucket | None = None, *, is_on: bool = True) -> None:
        self.data, self.bucket = data, store
        self.is_on = is_on and importlib.util.find_spec("av") is not None
        self.orders = Orders(data / "media" / "orders")
        self.artefacts = Artefacts(data / "media", store)
        self.of_experiments = Artefacts(data / "media" / "experiments", store, EXPERIMENT)

    @classmethod
    def of(cls, settings: Settings, data: Path) -> "Media":
        """The media of a server.

        Raises:
            SettingsError: the bucket's address is none, or the library for it is not installed.
        """
        return cls(data, bucket.of(settings), is_on=settings.MEDIA)

    def order_submission(self, submission: str, *, title: str, challenge: int, again: bool = False) -> None:
        """A submission whose journal is kept is to be filmed, if it was not.

        Args:
            again: also if it was; what there is goes first.

        Raises:
            StorageFull: there is no room for the order.
        """
        if again:
            self.artefacts.discard(submission)
        if self.is_on and self.artefacts.about(submission) is None:
            self.orders.place(Order(SUBMISSION, submission, title, challenge))

    def order_experiment(self, experiment: str, *, title: str) -> None:
        """An experiment whose best episode is kept is to be filmed, if it was not.

        Raises:
            StorageFull: there is no room for the order.
        """
        if self.is_on and self.of_experiments.about(experiment) is None:
            self.orders.place(Order(EXPERIMENT, experiment, title))

    def forget_experiment(self, experiment: str) -> None:
        """It is gone, or begins again: what was made of it goes."""
        self.orders.done(Order(EXPERIMENT, experiment))
        self.of_experiments.remove(experiment)

    def sweep_experiments(self, known: Container[str], days: float) -> None:
        """Forgets those that are not `known` any more, once what was made of them is `days` old."""
        folder = self.of_experiments.folder
        for path in folder.iterdir() if folder.exists() else ():
            if path.name not in known and path.suffix != ".new" and path.stat().st_mtime < time.time() - days * 86400:
                self.forget_experiment(path.name)

    def forget_submission(self, submission: str, challenge: int) -> None:
        """Its time is over: what was made of it goes."""
        self.orders.done(Order(SUBMISSION, submission))
        self.artefacts.remove(submission, challenge)

    def shelf(self, kind: str) -> Artefacts:
        """Where the artefacts of an order's kind are."""
        return self.of_experiments if kind == EXPERIMENT else self.artefacts

    def order_monitor(self, token: str, *, title: str, directory: str, monitor: int, every: int) -> None:
        """Every so many of a monitor's episodes are to be filmed.

        Raises:
            StorageFull: there is no room for the order.
        """
        if self.is_on and every:
            self.orders.place(Order(MONITOR, token, title, 0, directory, monitor, every))

    def has_work(self) -> bool:
        """Whether something is to be made, or stored, by now."""
        return self.is_on and self.orders.has_work()

    def standing(self, subject: str, kind: str = SUBMISSION) -> dict[str, Any]:
        """`{"state": …, "reason": …, "files": {name: bytes}, …}` of a submission's, or an experiment's, media."""
        about, order = self.shelf(kind).about(subject), self.orders.find(kind, subject)
        told: dict[str, Any] = {"state": NONE, "reason": "" if self.is_on else self._why_off(), "files": {}}
        if about is not None:
            told |= {name: about[name] for name in FACTS if name in about}
            told |= {"state": about["state"], "reason": about["reason"]}
            if order is not None and about["state"] == MADE and not order.attempts:
                told["reason"] = order.reason  # it waits to be stored
        elif order is not None:
            told |= {
                "state": MAKING if order.attempts else WAITING,
                "reason": order.reason if order.attempts != 1 else "",
            }
        return told

    def _why_off(self) -> str:
        if importlib.util.find_spec("av") is None:
            return "videos need PyAV on the server: pip install 'gymserve[media]'"
        return "the server makes no videos: MEDIA is off"

    def open(self, subject: str, file: str, kind: str = SUBMISSION) -> tuple[IO[bytes], int]:
        """See `Artefacts.open`."""
        return self.shelf(kind).open(subject, file)
