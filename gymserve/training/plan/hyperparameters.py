"""Hyper-parameters as plain data: checks their values; nothing in them is ever executed."""

import difflib
import math
import re

from gymserve.protocol.errors import Untrainable
from gymserve.protocol.wire import JSONObject, JSONValue
from gymserve.training.plan.algorithms import Algorithm

MOST = 10**9
UNITS = 4096  # in one layer
LAYERS = 8
ACTIVATIONS = ("tanh", "relu", "elu", "leaky_relu", "silu")
OPTIMIZERS = ("adam", "adamw", "adagrad", "rmsprop", "sgd")
NOISES = ("normal", "ornstein-uhlenbeck")
LINEAR = re.compile(r"lin_(\d+(?:\.\d+)?(?:e-?\d+)?)", re.ASCII)
AUTO = re.compile(r"auto(?:_\d+(?:\.\d+)?)?", re.ASCII)
POLICY = {
    "activation_fn": "one of " + ", ".join(ACTIVATIONS),
    "optimizer_class": "one of " + ", ".join(OPTIMIZERS),
    "net_arch": f"a list of up to {LAYERS} layers' units, or an object of such lists (pi, vf, qf)",
    "ortho_init": "true or false",
    "log_std_init": "a number",
    "n_critics": "an integer from 1 to 10",
    "n_quantiles": "an integer from 1 to 1000",
    "lstm_hidden_size": f"an integer from 1 to {UNITS}",
    "n_lstm_layers": f"an integer from 1 to {LAYERS}",
    "enable_critic_lstm": "true or false",
    "shared_lstm": "true or false",
    "share_features_extractor": "true or false",
    "normalize_images": "true or false",
}
HER = ("future", "final", "episode")
SHARE = (0.0, 1.0)
RANGES: dict[str, tuple[float, float]] = {  # minimum and maximum; `_check` has the rest
    "gamma": SHARE, "gae_lambda": SHARE, "tau": SHARE, "exploration_fraction": SHARE, "exploration_initial_eps": SHARE,
    "exploration_final_eps": SHARE, "line_search_shrinking_factor": SHARE, "learning_rate": (0.0, 100.0),
    "clip_range": (1e-9, 1e6), "clip_range_vf": (1e-9, 1e6), "max_grad_norm": (1e-9, 1e9), "vf_coef": (0.0, 1e6),
    "ent_coef": (0.0, 1e6), "rms_prop_eps": (1e-30, 1.0), "delta_std": (1e-9, 1e6), "target_kl": (1e-9, 1e6),
    "target_policy_noise": (0.0, 1e6), "target_noise_clip": (0.0, 1e6), "cg_damping": (0.0, 1e6),
    "stats_window_size": (1, 10**6), "sde_sample_freq": (-1, MOST), "gradient_steps": (-1, MOST),
    "learning_starts": (0, MOST), "top_quantiles_to_drop_per_net": (0, 1000), "n_critic_updates": (1, MOST),
}  # fmt: skip


def check(algorithm: Algorithm, values: JSONObject) -> JSONObject:
    """Check hyper-parameters and return them.

    Raises:
        Untrainable: a hyper-parameter is unknown, or its value is invalid.
    """
    for name, value in values.items():
        if name == "policy":
            _need(name, value in algorithm.policies, f"one of {', '.join(algorithm.policies)}", value)
        elif name not in algorithm.kinds:
            near = difflib.get_close_matches(name[:50], algorithm.kinds, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(algorithm.kinds)}"
            raise Untrainable(f"{algorithm.name} has no hyper-parameter {name!r:.50}: {hint}")
        elif value != algorithm.defaults[name] or type(value) is not type(algorithm.defaults[name]):
            _check(name, value, algorithm.kinds[name])
            if name == "policy_kwargs" and value is not None:
                _net_arch(algorithm, value.get("net_arch"))
    _together(algorithm.defaults | values)
    return values


def _check(name: str, value: JSONValue, annotation: str) -> None:
    kinds = annotation.split(" | ")
    if value is None and "None" in kinds:
        return
    if name in SPECIAL:
        SPECIAL[name](value)
    elif kinds == ["bool"]:
        _need(name, isinstance(value, bool), "true or false", value)
    elif "Schedule" in kinds or "Callable" in kinds:
        falling = isinstance(value, str) and LINEAR.fullmatch(value) is not None
        number = float(value[4:]) if falling else value
        meaning = f'a number{_within(name)}, or one that decreases to 0 over the run, such as "lin_3e-4"'
        _need(name, _number(number) and _in_range(name, number), meaning, value)
    elif "str" in kinds:
        good = (_number(value) and _in_range(name, value)) or (
            isinstance(value, str) and AUTO.fullmatch(value) is not None
        )
        _need(name, good, f'a number{_within(name)}, "auto", or for example "auto_0.1"', value)
    elif "int" in kinds:
        least, most = (int(each) for each in RANGES.get(name, (1, MOST)))
        _need(name, _integer(value, least, most), f"an integer from {least} to {most}", value)
    elif "float" in kinds:
        _need(name, _number(value) and _in_range(name, value), f"a finite number{_within(name)}", value)
    else:
        raise Untrainable(f"{name} cannot be set here")


def _within(name: str) -> str:
    return " from {:g} to {:g}".format(*RANGES[name]) if name in RANGES else ""


def _in_range(name: str, value: float) -> bool:
    least, most = RANGES.get(name, (-math.inf, math.inf))
    return least <= value <= most


def _together(values: JSONObject) -> None:
    """Check values that depend on each other.

    Raises:
        Untrainable: two values contradict each other.
    """
    n_top, n_delta = values.get("n_top"), values.get("n_delta")
    if n_top is not None and n_top > n_delta:
        raise Untrainable(f"n_top must be at most n_delta, {n_delta}, not {n_top}")


def _net_arch(algorithm: Algorithm, value: object) -> None:
    """Check the networks that `net_arch` names.

    Raises:
        Untrainable: it names networks that the algorithm does not have, or not all of its networks.
    """
    if not isinstance(value, dict):
        return
    on_policy = "gae_lambda" in algorithm.kinds
    parts = {"pi", "vf"} if on_policy else {"pi", "qf"} if algorithm.actions == ("Box",) else set()
    if not set(value) <= parts or (not on_policy and set(value) != parts):
        has = f"a list, or an object of {' and '.join(sorted(parts))}" if parts else "a list"
        raise Untrainable(
            f"policy_kwargs: net_arch of {algorithm.name} must be {has}, not an object of {', '.join(value)}"
        )


def _train_freq(value: JSONValue) -> None:
    pair = isinstance(value, list) and len(value) == 2 and value[1] in ("step", "episode")
    good = _integer(value[0] if pair else value, 1, MOST)
    _need("train_freq", good, 'an integer from 1, or for example [1, "episode"]', value)


def _action_noise(value: object) -> None:
    good = (
        isinstance(value, dict)
        and set(value) == {"name", "sigma"}
        and value["name"] in NOISES
        and _number(value["sigma"])
        and value["sigma"] >= 0
    )
    _need("action_noise", good, f'{{"name": {" or ".join(NOISES)}, "sigma": a number}}', value)


def _policy_kwargs(value: JSONValue) -> None:
    _need("policy_kwargs", isinstance(value, dict), "an object", value)
    for name, part in value.items():
        if name not in POLICY:
            raise Untrainable(f"policy_kwargs: {name!r:.50} is not among {', '.join(POLICY)}")
        _need(f"policy_kwargs: {name}", _policy_part(name, part), POLICY[name], part)


def _policy_part(name: str, value: JSONValue) -> bool:
    if name == "activation_fn":
        return value in ACTIVATIONS
    if name == "optimizer_class":
        return value in OPTIMIZERS
    if name == "net_arch":
        parts = list(value.values()) if isinstance(value, dict) and set(value) <= {"pi", "vf", "qf"} else [value]
        return all(isinstance(part, list) and len(part) <= LAYERS for part in parts) and all(
            _integer(units, 1, UNITS) for part in parts for units in part
        )
    if name == "log_std_init":
        return _number(value)
    if POLICY[name].startswith("an integer"):
        return _integer(value, 1, int(POLICY[name].rpartition(" ")[2]))
    return isinstance(value, bool)


def _replay_buffer_class(value: object) -> None:
    _need("replay_buffer_class", value == "HerReplayBuffer", 'null or "HerReplayBuffer"', value)


def _replay_buffer_kwargs(value: JSONValue) -> None:
    good = isinstance(value, dict) and set(value) <= {"n_sampled_goal", "goal_selection_strategy"}
    good = good and _integer(value.get("n_sampled_goal", 4), 1, 100)
    good = good and value.get("goal_selection_strategy", "future") in HER
    _need("replay_buffer_kwargs", good, f"n_sampled_goal and goal_selection_strategy ({', '.join(HER)})", value)


SPECIAL = {
    "train_freq": _train_freq,
    "action_noise": _action_noise,
    "policy_kwargs": _policy_kwargs,
    "replay_buffer_class": _replay_buffer_class,
    "replay_buffer_kwargs": _replay_buffer_kwargs,
}


def _need(name: str, good: bool, meaning: str, value: object) -> None:
    if not good:
        raise Untrainable(f"{name} must be {meaning}, not {value!r:.50}")


def _integer(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _number(value: JSONValue) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
