"""Models that were trained elsewhere: taken in from Stable-Baselines3's files, without running anything in them."""

import shutil
import threading
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from gymserve.errors import LimitReached, Untrainable
from gymserve.settings import Settings
from gymserve.store.models import Experiment, Policy
from gymserve.training import algorithms, foreign, orders
from gymserve.training.models import Models
from gymserve.training.orders import Checker
from gymserve.training.projects import checked_text
from gymserve.training.runners import processes
from gymserve.training.runners.folder import Folder

ADOPTION = "gymserve.training.runners.adoption"
SECONDS = 150.0
READ = ("environment", "env_kwargs", "frame_stack", "atari", "max_episode_steps")
_turns = threading.BoundedSemaphore(2)  # each takes a process with torch in it


class Uploads:
    """Takes files of strangers into the registry."""

    def __init__(self, models: Models, checker: Checker, settings: Settings) -> None:
        self.models, self.checker, self.settings = models, checker, settings

    def take(self, account_id: int | None, asked: Mapping[str, Any], data: bytes) -> Policy:
        """The model in `data`, the bytes of a file that Stable-Baselines3's `save` wrote.

        Args:
            asked: title, algorithm, environment, and if wanted hyperparameters (which go before those in the file), env_kwargs,
                frame_stack, atari.

        Raises:
            InvalidRequest: it is no such file, or a value is no good.
            Untrainable: it is not this algorithm's, does not fit this environment, or cannot be read safely.
            LimitReached: others are being taken in.
        """
        title = checked_text({"title": asked.get("title") or ""}, {"title": 200}, needed=("title",))["title"]
        parts = foreign.parts(data)
        told = foreign.told(parts["data"])
        order = self._order(asked, told)
        timesteps = told.get("num_timesteps")
        details = {
            "order": {name: value for name, value in order.items() if name != "modules"},
            "evaluation": {},
            "timesteps": timesteps if type(timesteps) is int and 0 <= timesteps < 2**62 else 0,
        }
        name = str(uuid.uuid4())
        fresh = Folder(self.models.folder / f"{name}.new")
        try:
            self._adopt(fresh, order, {each: part for each, part in parts.items() if each.endswith(".pth")})
            (fresh.path / "outcome.json").unlink()
            fresh.path.rename(self.models.folder / name)
        finally:
            shutil.rmtree(fresh.path, ignore_errors=True)
        return self.models.register(
            name, account_id, title=title, experiment="", algorithm=order["algorithm"], details=details
        )

    def _order(self, asked: Mapping[str, Any], told: dict[str, Any]) -> dict[str, Any]:
        """What an experiment would have been told that trains such a model."""
        algorithm = algorithms.find(asked.get("algorithm"))
        given = asked.get("hyperparameters") or {}
        if not isinstance(given, dict):
            raise Untrainable("hyperparameters must be an object")
        wanted = {name: asked[name] for name in READ if asked.get(name) is not None}
        wanted |= {
            "algorithm": algorithm.name,
            "hyperparameters": {**foreign.hyperparameters(algorithm, told), **given},
        }
        row = Experiment(**self.checker.check(orders.SB3, wanted))
        return orders.tell(row, self.settings, {})

    def _adopt(self, folder: Folder, order: dict[str, Any], files: dict[str, bytes]) -> None:
        if not _turns.acquire(blocking=False):
            raise LimitReached("other models are being taken in: try again")
        try:
            folder.prepare(order)
            processes.run(folder, ADOPTION, msgspec.msgpack.encode(files), seconds=SECONDS)
        except TimeoutError:
            raise Untrainable(f"making a model of it took longer than {SECONDS:g} s") from None
        finally:
            _turns.release()
        outcome = folder.outcome() or {"state": "failed", "reason": "making a model of it ended its process"}
        if outcome["state"] != "completed":
            raise Untrainable(outcome["reason"])
