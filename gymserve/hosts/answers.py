"""What hosts answer, in each of the wire's forms: JSON over HTTP and in text frames, msgpack in binary frames."""

import math
from typing import Any

import msgspec
import numpy as np

from gymserve import errors, wire
from gymserve.hosts.instance import NO_INFO, Instance, Move
from gymserve.spaces import describe, jsonable

_NO_INFO = msgspec.Raw(NO_INFO)


def binary(move: Move, seq: int | None) -> bytes:
    """A move as a binary frame's payload."""
    info = _NO_INFO if move.info is NO_INFO else msgspec.Raw(move.info)
    if move.reward is None:
        return wire.pack((wire.RESET, seq, move.observation, info))
    reward, terminated, truncated = move.reward, move.terminated, move.truncated
    if isinstance(reward, np.ndarray):
        reward, terminated, truncated = reward.tobytes(), terminated.tobytes(), truncated.tobytes()
    return wire.pack((wire.STEP, seq, move.observation, reward, terminated, truncated, info))


def plain(move: Move, instance: Instance) -> dict[str, Any]:
    """A move as the JSON object that HTTP and text frames answer."""
    if move.observation is None:  # the trials are over
        return {"observation": None, "info": {}}
    space = instance.observations
    info = {} if move.info is NO_INFO else jsonable(wire.unpack(move.info))
    answer: dict[str, Any] = {"observation": space.to_json(space.unpack(move.observation, check=False))}
    if move.reward is not None:
        terminated, truncated = move.terminated, move.truncated
        if instance.batch:
            answer["reward"] = jsonable(move.reward)
            answer["done"] = (terminated | truncated).tolist()
            terminated, truncated = terminated.tolist(), truncated.tolist()
        else:
            answer["reward"] = move.reward if math.isfinite(move.reward) else jsonable(move.reward)
            answer["done"] = terminated or truncated
            if truncated or terminated:
                info["TimeLimit.truncated"] = truncated and not terminated
        answer["terminated"], answer["truncated"] = terminated, truncated
    answer["info"] = info
    return answer


def checked_reset(instance: Instance, seed: Any, options: Any) -> tuple[Any, Any]:
    """`seed` and `options` of a reset, in order.

    Raises:
        InvalidRequest: they are not.
    """
    if isinstance(seed, list) and instance.batch:
        if len(seed) != instance.meta["num_envs"]:
            raise errors.InvalidRequest(f"seed has {len(seed)} elements, expected {instance.meta['num_envs']}")
        for one in seed:
            checked_seed(one)
    else:
        checked_seed(seed)
    if options is not None and not isinstance(options, dict):
        raise errors.InvalidRequest("options must be an object")
    if instance.batch and options and "reset_mask" in options:
        options = {**options, "reset_mask": _mask(options["reset_mask"], instance.meta["num_envs"])}
    return seed, options


def _mask(mask: Any, num_envs: int) -> np.ndarray:
    """`reset_mask` of Gymnasium's disabled autoreset."""
    array = np.asarray(mask)
    if array.shape != (num_envs,) or not all(one in (0, 1) for one in array.tolist()):
        raise errors.InvalidRequest(f"reset_mask must be {num_envs} booleans")
    return array.astype(bool)


def checked_seed(seed: Any) -> None:
    if seed is not None and (type(seed) is not int or not 0 <= seed < 2**32):
        raise errors.InvalidRequest(f"seed must be an integer from 0 to 2**32 - 1, not {seed!r:.50}")


def checked_seq(seq: Any) -> int | None:
    if seq is not None and (type(seq) is not int or not 0 <= seq <= wire.MAX_SEQ):
        raise errors.InvalidRequest(f"seq must be an integer from 0 to 2**32 - 1, not {seq!r:.50}")
    return seq  # type: ignore[no-any-return]


def description(instance: Instance, *, host: str, now: float) -> dict[str, Any]:
    """What `GET /v1/envs/<id>/` answers."""
    meta, env = instance.meta, instance.env
    timed = max(1, instance.timed)
    names = ("environment", "journal", "total")
    single = (env.single_action_space, env.single_observation_space) if instance.batch else ()
    action_space, observation_space = single or (env.action_space, env.observation_space)
    spec = env.spec
    return {
        "instance_id": instance.token,
        "env_id": meta["env_id"],
        "environment": meta["environment"],
        "num_envs": meta["num_envs"],
        "kwargs": meta["kwargs"],
        "action_space": describe(action_space),
        "observation_space": describe(observation_space),
        "metadata": jsonable({key: value for key, value in env.metadata.items() if key.startswith("render")}),
        "render_mode": meta["render_mode"],
        "max_episode_steps": getattr(spec, "max_episode_steps", None),
        "reward_threshold": getattr(spec, "reward_threshold", None),
        "autoreset_mode": meta["autoreset_mode"],
        "age_seconds": round(max(0.0, instance.age()), 3),
        "idle_seconds": round(max(0.0, now - instance.used), 3),
        "steps": instance.steps,
        "episode": instance.episode,
        "seq": instance.last_seq,
        "state": instance.state,
        "monitoring": instance.monitoring,
        **instance.progress,
        "host": host,
        "latency_us": {
            name: round(spent / timed * 1e6, 1) for name, spent in zip(names, instance.seconds, strict=True)
        },
    }
