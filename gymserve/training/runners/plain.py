"""Convert plain hyper-parameters to the classes and objects that the library expects."""

from typing import Any

import numpy
import torch
from stable_baselines3 import HerReplayBuffer
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.vec_env import VecEnv

from gymserve.protocol.wire import JSONObject

ACTIVATIONS = {
    "tanh": torch.nn.Tanh,
    "relu": torch.nn.ReLU,
    "elu": torch.nn.ELU,
    "leaky_relu": torch.nn.LeakyReLU,
    "silu": torch.nn.SiLU,
}
OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
NOISES = {"normal": NormalActionNoise, "ornstein-uhlenbeck": OrnsteinUhlenbeckActionNoise}
CLASSES = {"activation_fn": ACTIVATIONS, "optimizer_class": OPTIMIZERS}


class Falling:
    """A value that decreases linearly from `first` to 0 over the run."""

    def __init__(self, first: float) -> None:
        self.first = first

    def __call__(self, remaining: float) -> float:
        return self.first * remaining


def arguments(hyperparameters: JSONObject, env: VecEnv) -> dict[str, Any]:  # Any: what the constructor takes
    """Convert hyper-parameters, replacing names with the classes and objects that they stand for."""
    converted = {}
    for name, value in hyperparameters.items():
        if isinstance(value, str) and value.startswith("lin_"):
            value = Falling(float(value[4:]))
        elif name == "train_freq" and isinstance(value, list):
            value = tuple(value)
        elif name == "action_noise" and value is not None:
            size = env.action_space.shape
            assert size is not None
            value = NOISES[value["name"]](numpy.zeros(size), numpy.full(size, value["sigma"]))
        elif name == "policy_kwargs" and value:
            value = {key: CLASSES[key][part] if key in CLASSES else part for key, part in value.items()}
        elif name == "replay_buffer_class" and value is not None:
            value = HerReplayBuffer
        converted[name] = value
    return converted
