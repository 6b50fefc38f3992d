"""Models that were trained elsewhere: taken in from Stable-Baselines3's files, without running anything in them."""

import threading
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gymserve.protocol.errors import LimitReached, Untrainable
from gymserve.store.models import Policy
from gymserve.system import files, interpreters
from gymserve.training.models.registry import Models
from gymserve.training.plan import algorithms
from gymserve.training.plan.checker import Checker
from gymserve.training.plan.requests import UploadRequest
from gymserve.training.plan.states import ExperimentState
from gymserve.training.plan.training_plan import TrainingPlan
from gymserve.training.runners import processes
from gymserve.training.runners.folder import Folder
from gymserve.training.uploads import foreign

ADOPTION = "gymserve.training.uploads.adoption"
SECONDS = 150.0
READ = ("environment", "env_kwargs", "frame_stack", "atari")
_turns = threading.BoundedSemaphore(2)  # each takes a process with torch in it


class Uploads:
    """Takes files of strangers into the registry.

    Args:
        variables: ENVIRONMENT_VARIABLES, for the process that reads a file.
        modules: ENVIRONMENT_MODULES, which it imports.
    """

    def __init__(
        self, models: Models, checker: Checker, *, variables: Mapping[str, str], modules: Sequence[str]
    ) -> None:
        self.models, self.checker, self.variables, self.modules = models, checker, variables, modules

    def take(self, account_id: int | None, request: UploadRequest, data: bytes) -> Policy:
        """The model in `data`, the bytes of a file that Stable-Baselines3's `save` wrote.

        Args:
            request: its hyper-parameters go before those in the file.

        Raises:
            InvalidRequest: it is no such file, or a value is no good.
            Untrainable: it is not this algorithm's, does not fit this environment, or cannot be read safely.
            LimitReached: others are being taken in.
        """
        parts = foreign.parts(data)
        told = foreign.told(parts["data"])
        plan = self._plan(request, told)
        timesteps = told.get("num_timesteps")
        details = {
            "plan": plan.card(),
            "evaluation": {},
            "timesteps": timesteps if type(timesteps) is int and 0 <= timesteps < 2**62 else 0,
        }
        name = str(uuid.uuid4())
        with files.replacing_folder(self.models.folder / name) as fresh:
            self._adopt(Folder(fresh), plan, {each: part for each, part in parts.items() if each.endswith(".pth")})
            (fresh / "outcome.json").unlink()
        return self.models.register(
            name, account_id, title=request.title, experiment="", algorithm=plan.algorithm, details=details
        )

    def _plan(self, request: UploadRequest, told: dict[str, Any]) -> TrainingPlan:
        """That of an experiment which trains such a model."""
        algorithm = algorithms.find(request.algorithm)
        wanted = {name: getattr(request, name) for name in READ} | {
            "algorithm": algorithm.name,
            "hyperparameters": {**foreign.hyperparameters(algorithm, told), **request.hyperparameters},
        }
        return self.checker.plan(wanted).replace(modules=list(self.modules))

    def _adopt(self, folder: Folder, plan: TrainingPlan, tensors: dict[str, bytes]) -> None:
        if not _turns.acquire(blocking=False):
            raise LimitReached("other models are being taken in: try again")
        try:
            folder.prepare(plan)
            variables = interpreters.variables(self.variables)
            processes.run(folder, ADOPTION, msgspec.msgpack.encode(tensors), variables, seconds=SECONDS)
        except TimeoutError:
            raise Untrainable(f"making a model of it took longer than {SECONDS:g} s") from None
        finally:
            _turns.release()
        outcome = folder.outcome()
        if outcome is None:
            raise Untrainable("making a model of it ended its process")
        if outcome["state"] != ExperimentState.COMPLETED:
            raise Untrainable(outcome["reason"])
