"""Starting a Stable-Baselines3 run from a parent model."""

from pathlib import Path

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import load_from_pkl, load_from_zip_file, recursive_setattr


def load(model: BaseAlgorithm, folder: Path) -> None:
    """Load the weights, optimizers and averages in `folder` into a new model.

    Its counters, buffers and schedules remain its own.

    Raises:
        ValueError, RuntimeError: the weights have other shapes.
    """
    _, parameters, variables = load_from_zip_file(folder / "model.zip", device=model.device)
    model.set_parameters(parameters, exact_match=True, device=model.device)
    for name, value in (variables or {}).items():
        if value is not None:
            recursive_setattr(model, f"{name}.data", value.data)
    env = model.get_vec_normalize_env()
    if env is not None and (folder / "normalize.pkl").exists():
        normal = load_from_pkl(folder / "normalize.pkl")
        env.obs_rms, env.ret_rms = normal.obs_rms, normal.ret_rms
