"""Writes the answers of hosts in each wire format: JSON or msgpack over HTTP, JSON in text frames, msgpack in binary ones."""

import math
from typing import Any

import msgspec
import numpy as np

from gymserve.hosts.instance.live import LiveInstance
from gymserve.hosts.instance.questions import list_offers
from gymserve.hosts.instance.time_step import EXHAUSTED, NO_INFO, TimeStep
from gymserve.protocol import errors, wire
from gymserve.protocol.spaces import describe, jsonable

_NO_INFO = msgspec.Raw(NO_INFO)


def binary(time_step: TimeStep, seq: int | None) -> bytes:
    """Encodes a time step as the payload of a binary frame."""
    info = _packed_info(time_step)
    reward, terminated, truncated = time_step.reward, time_step.terminated, time_step.truncated
    if reward is None:  # of a reset
        return wire.pack((wire.RESET, seq, time_step.observation, info))
    if isinstance(reward, np.ndarray):
        reward, terminated, truncated = reward.tobytes(), terminated.tobytes(), truncated.tobytes()
    return wire.pack((wire.STEP, seq, time_step.observation, reward, terminated, truncated, info))


def body(time_step: TimeStep, instance: LiveInstance, *, msgpack: bool) -> bytes:
    """Encodes a time step as the body of an HTTP response, as msgpack or as JSON."""
    return wire.pack(_packed(time_step)) if msgpack else wire.write_json(plain(time_step, instance))


def _packed(time_step: TimeStep) -> dict[str, object]:
    """Converts a time step to a map with the names of `plain` and the values of `binary`."""
    info = _packed_info(time_step)
    if time_step.is_of_reset:
        return {"observation": time_step.observation, "info": info}
    reward, terminated, truncated = time_step.reward, time_step.terminated, time_step.truncated
    done = terminated | truncated
    if isinstance(reward, np.ndarray):
        reward, done = reward.tobytes(), done.tobytes()
        terminated, truncated = terminated.tobytes(), truncated.tobytes()
    return {
        "observation": time_step.observation,
        "reward": reward,
        "done": done,
        "terminated": terminated,
        "truncated": truncated,
        "info": info,
    }


def _packed_info(time_step: TimeStep) -> msgspec.Raw:
    return _NO_INFO if time_step.info is NO_INFO else msgspec.Raw(time_step.info)


def plain(time_step: TimeStep, instance: LiveInstance) -> dict[str, object]:
    """Converts a time step to the JSON object of HTTP and text frames."""
    if time_step.step_type is EXHAUSTED:
        return {"observation": None, "info": {}}
    space = instance.recorded.observations
    info = {} if time_step.info is NO_INFO else jsonable(wire.unpack(time_step.info))
    answer: dict[str, Any] = {"observation": space.to_json(space.unpack(time_step.observation, check=False))}
    if not time_step.is_of_reset:
        terminated, truncated = time_step.terminated, time_step.truncated
        if instance.recorded.batch:
            answer["reward"] = jsonable(time_step.reward)
            answer["done"] = (terminated | truncated).tolist()
            terminated, truncated = terminated.tolist(), truncated.tolist()
        else:
            reward = time_step.reward
            answer["reward"] = reward if math.isfinite(reward) else jsonable(reward)
            answer["done"] = terminated or truncated
            if truncated or terminated:
                info["TimeLimit.truncated"] = truncated and not terminated
        answer["terminated"], answer["truncated"] = terminated, truncated
    answer["info"] = info
    return answer


def rendered(state: Any) -> tuple[str, bytes]:
    """Converts a rendered state to (media type, body) for HTTP. For a vector instance, it is the first picture."""
    if isinstance(state, list) and state and isinstance(state[0], bytes):
        state = state[0]
    if isinstance(state, bytes):
        return "image/png", state
    if isinstance(state, str):
        return "text/plain; charset=utf-8", state.encode()
    return "application/json", wire.write_json(jsonable(state))


def check_options(instance: LiveInstance, seed: Any, options: dict[str, object] | None) -> dict[str, object] | None:
    """Checks a reset's seed and options against the instance, and returns the options with `reset_mask` as an array.

    Raises:
        InvalidRequest: the seed or the options do not fit the instance.
        Conflict: the first reset would leave out some of the copies.
    """
    if isinstance(seed, list):
        if not instance.recipe.is_vector:
            raise errors.InvalidRequest(f"seed must be an integer for a single environment, not {seed!r:.50}")
        if len(seed) != instance.recipe.num_envs:
            raise errors.InvalidRequest(f"seed has {len(seed)} elements, expected {instance.recipe.num_envs}")
    if instance.recipe.is_vector and options and "reset_mask" in options:
        mask = _parse_mask(options["reset_mask"], instance.recipe.num_envs)
        if instance.recorded.episode == 0 and not mask.all():
            raise errors.Conflict("reset all copies once, without reset_mask, before you reset only some of them")
        return {**options, "reset_mask": mask}
    return options


def _parse_mask(mask: object, num_envs: int) -> np.ndarray:
    """Parses `reset_mask`, which Gymnasium's vector environments take if autoreset is disabled."""
    array = np.asarray(mask)
    if array.shape != (num_envs,) or not all(each in (0, 1) for each in array.tolist()):
        raise errors.InvalidRequest(f"reset_mask must be {num_envs} booleans")
    if not array.any():
        raise errors.InvalidRequest("reset_mask must be true for at least one copy")
    return array.astype(bool)


def description(instance: LiveInstance, *, host: str, now: float, short: bool) -> dict[str, Any]:
    """Describes an instance, for `GET /v1/envs/<id>/`; `short` is passed to `spaces.describe`."""
    recipe, recorded, env = instance.recipe, instance.recorded, instance.recorded.env
    single = (env.single_action_space, env.single_observation_space) if recipe.is_vector else ()
    action_space, observation_space = single or (env.action_space, env.observation_space)
    spec = env.spec
    return {
        "instance_id": instance.token,
        "env_id": recipe.env_id,
        "environment": recipe.environment,
        "num_envs": recipe.num_envs,
        "kwargs": recipe.kwargs,
        "wrappers": [{"name": wrapper.name, "kwargs": wrapper.kwargs} for wrapper in recipe.wrappers],
        "action_space": describe(action_space, short=short),
        "observation_space": describe(observation_space, short=short),
        "metadata": jsonable({key: value for key, value in env.metadata.items() if key.startswith("render")}),
        "render_mode": recipe.render_mode,
        "max_episode_steps": getattr(spec, "max_episode_steps", None),
        "reward_threshold": getattr(spec, "reward_threshold", None),
        "autoreset_mode": recipe.autoreset_mode,
        "offers": list_offers(instance),
        "age_seconds": round(max(0.0, recipe.age()), 3),
        "idle_seconds": round(max(0.0, now - instance.used), 3),
        "steps": recorded.steps,
        "episode": recorded.episode,
        "seq": instance.last_call.seq,
        "state": recorded.state,
        "monitoring": instance.monitoring,
        **(instance.graded.progress if instance.graded is not None else {}),
        "host": host,
        "latency_us": recorded.step_times.means(),
        "latency_p99_us": recorded.step_times.p99(),
    }
