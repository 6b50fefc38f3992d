"""Export of a model's policy to ONNX, for machines without torch: deterministic, with its running averages inside."""

import importlib.util
import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecNormalize

from gymserve.protocol.errors import Conflict
from gymserve.protocol.generics import Space
from gymserve.training.plan.view import View

OPSET = 17
INPUT, OUTPUT = "observation", "action"
INSTALL = 'pip install "gymserve[onnx]"'


def export(
    model: BaseAlgorithm, normal: VecNormalize | None, view: View, file: Path, *, metadata: dict[str, str]
) -> None:
    """Write the policy of a Stable-Baselines3 model to an ONNX file, and check it.

    Inputs are those of `predict`, as a batch: `observation`, or the parts of a Dict by name; the output is `action`.

    Raises:
        Conflict: it cannot be exported; the message says why.
    """
    if importlib.util.find_spec("onnx") is None:
        raise Conflict(f"exporting needs onnx on the server: {INSTALL}")
    if isinstance(view.observation_space, spaces.Box) and not isinstance(view.bare_spaces[0], spaces.Box):
        raise Conflict(f"observations in a {type(view.bare_spaces[0]).__name__} like this model's cannot be exported")
    if hasattr(model.policy, "lstm_actor"):
        raise Conflict(f"{type(model).__name__} has a memory, which an exported policy cannot keep")
    import onnx

    try:
        made = onnx.load_from_string(_traced(model, normal, view))
        onnx.helper.set_model_props(made, metadata)
        onnx.checker.check_model(made)
    except Exception as error:
        line = str(error).partition("\n")[0]
        raise Conflict(f"this policy cannot be exported: {type(error).__name__}: {line:.300}") from error
    fresh = file.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(made.SerializeToString())
    fresh.replace(file)


class _Acting(torch.nn.Module):
    """Maps the environment's observations to its actions."""

    def __init__(self, model: BaseAlgorithm, normal: VecNormalize | None, view: View) -> None:
        super().__init__()
        self.view = view
        self.policy, self.space = model.policy, model.action_space
        self.names = list(model.observation_space) if isinstance(model.observation_space, spaces.Dict) else None
        self.averages: dict[str | None, tuple[torch.Tensor, torch.Tensor]] = {}
        self.clip = float(normal.clip_obs) if normal is not None else 0.0
        if normal is not None and normal.norm_obs:
            for name in (normal.norm_obs_keys or ()) if self.names else (None,):
                # Any: the averages of one array, or of a dict of them.
                seen: Any = normal.obs_rms if name is None else normal.obs_rms[name]
                scale = np.sqrt(seen.var + normal.epsilon)
                self.averages[name] = torch.as_tensor(seen.mean), torch.as_tensor(scale)
        if isinstance(self.space, spaces.Box):
            self.low, self.high = torch.as_tensor(self.space.low), torch.as_tensor(self.space.high)

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        shown: Any = self._seen(None, parts[0])  # a tensor, or a dict of tensors
        if self.names is not None:
            shown = {name: self._seen(name, part) for name, part in zip(self.names, parts, strict=True)}
        action: torch.Tensor = self.policy._predict(shown, deterministic=True)
        if not isinstance(self.space, spaces.Box):
            space = self.view.bare_spaces[1]
            return action.reshape((-1, *(space.shape or ()))) + _start(space)
        if self.policy.squash_output:
            action = self.low + 0.5 * (action + 1.0) * (self.high - self.low)
        return torch.clamp(action, self.low, self.high).reshape((-1, *(self.view.bare_spaces[1].shape or ())))

    def _seen(self, name: str | None, part: torch.Tensor) -> torch.Tensor:
        """Convert a part of the environment's observations to the policy's form."""
        bare, seen, own = (
            space if name is None else space[name]  # type: ignore[index]  # with a name, the spaces are Dicts
            for space in (self.view.bare_spaces[0], self.view.observation_space, self.policy.observation_space)
        )
        if not isinstance(bare, spaces.Box):
            part = part - _start(bare)
        part = self._normal(name, part.reshape((-1, *(seen.shape or ()))))
        is_turned = (
            len(own.shape or ()) == 3 and own.shape != seen.shape
        )  # the policy's images have their channels first
        return part.permute(0, 3, 1, 2) if is_turned else part

    def _normal(self, name: str | None, part: torch.Tensor) -> torch.Tensor:
        """Normalize a part in double precision, as numpy does."""
        if name not in self.averages:
            return part
        mean, scale = self.averages[name]
        return torch.clamp((part.double() - mean) / scale, -self.clip, self.clip).float()


def _start(space: Space) -> torch.Tensor:
    """Return the number from which a space counts."""
    return torch.as_tensor(getattr(space, "start", 0))


def _traced(model: BaseAlgorithm, normal: VecNormalize | None, view: View) -> bytes:
    acting = _Acting(model, normal, view).eval()
    model.policy.set_training_mode(False)
    space: Any = view.bare_spaces[0]  # of a kind that `parts` decides
    parts = [space[name] for name in acting.names] if acting.names is not None else [space]
    shown = tuple(torch.as_tensor(np.stack([part.sample(), part.sample()])) for part in parts)
    names = acting.names if acting.names is not None else [INPUT]
    file = io.BytesIO()
    torch.distributions.Distribution.set_default_validate_args(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the newer exporter needs another library, with no gain for such graphs
        torch.onnx.export(
            acting,
            shown,
            file,  # type: ignore[arg-type]  # the older exporter writes to files as well
            dynamo=False,
            opset_version=OPSET,
            input_names=names,
            output_names=[OUTPUT],
            dynamic_axes={name: {0: "batch"} for name in (*names, OUTPUT)},
        )
    return file.getvalue()
