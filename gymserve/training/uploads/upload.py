"""Uploading models that were trained elsewhere with Stable-Baselines3, without executing anything in their files."""

import threading
import uuid
from collections.abc import Mapping, Sequence

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
_turns = threading.BoundedSemaphore(2)  # each needs a process with torch


class Uploads:
    """Adds uploaded files to the registry.

    Args:
        variables: ENVIRONMENT_VARIABLES, for the process that reads a file.
        modules: ENVIRONMENT_MODULES, imported by that process.
    """

    def __init__(
        self, models: Models, checker: Checker, *, variables: Mapping[str, str], modules: Sequence[str]
    ) -> None:
        self.models, self.checker, self.variables, self.modules = models, checker, variables, modules

    def receive(self, account_id: int | None, request: UploadRequest, data: bytes) -> Policy:
        """Register the model in `data`, a file written by Stable-Baselines3's `save`.

        Args:
            request: its hyper-parameters override those in the file.

        Raises:
            InvalidRequest: it is not such a file, or a value is invalid.
            Untrainable: it does not fit this algorithm or environment, or cannot be read safely.
            LimitReached: too many uploads are in progress.
        """
        parts = foreign.parts(data)
        attributes = foreign.attributes(parts["data"])
        plan = self._plan(request, attributes)
        timesteps = attributes.get("num_timesteps")
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

    def _plan(self, request: UploadRequest, attributes: dict[str, object]) -> TrainingPlan:
        """Return the plan of an experiment that would train such a model."""
        algorithm = algorithms.find(request.algorithm)
        wanted = {name: getattr(request, name) for name in READ} | {
            "algorithm": algorithm.name,
            "hyperparameters": {**foreign.hyperparameters(algorithm, attributes), **request.hyperparameters},
        }
        return self.checker.plan(wanted).replace(modules=list(self.modules))

    def _adopt(self, folder: Folder, plan: TrainingPlan, tensors: dict[str, bytes]) -> None:
        if not _turns.acquire(blocking=False):
            raise LimitReached("other models are being uploaded: try again")
        try:
            folder.prepare(plan)
            variables = interpreters.variables(self.variables)
            processes.run(folder, ADOPTION, msgspec.msgpack.encode(tensors), variables, seconds=SECONDS)
        except TimeoutError:
            raise Untrainable(f"rebuilding the model took longer than {SECONDS:g} s") from None
        finally:
            _turns.release()
        outcome = folder.outcome()
        if outcome is None:
            raise Untrainable("rebuilding the model killed its process")
        if outcome["state"] != ExperimentState.COMPLETED:
            raise Untrainable(outcome["reason"])
