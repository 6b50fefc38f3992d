"""Every wrapper of Gymnasium and of Stable-Baselines3 works around a remote environment as around a local one."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import ale_py  # noqa: F401  it registers the local twins
import gymnasium
import numpy as np
import pytest
import stable_baselines3.common.atari_wrappers as atari
import stable_baselines3.common.vec_env as stable
import torch
from gymnasium import wrappers as single
from gymnasium.wrappers import vector
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from gymserve import client
from tests.client.environments import mapping, telling  # noqa: F401  they register the local twins
from tests.client.trajectories import actions_for, same

Wrap = Callable[[Any], Any]
RGB = {"render_mode": "rgb_array"}

CANNOT = {
    "gymnasium.JaxToNumpy": "is for environments whose values are JAX arrays, and a server answers NumPy's",
    "gymnasium.JaxToTorch": "as JaxToNumpy",
    "vector.JaxToNumpy": "as JaxToNumpy",
    "vector.JaxToTorch": "as JaxToNumpy",
    "gymnasium.RecordVideo": "needs moviepy, which refuses the Pillow that constraints.txt pins; on the server: "
    "`monitor/start` with video_callable",
    "vector.RecordVideo": "as RecordVideo; each copy is rendered, see test_as_local.py",
    "stable.VecVideoRecorder": "as RecordVideo",
    "atari.StickyActionEnv": "draws from the generator with which the environment draws in its next reset; on the server: "
    "the wrapper StickyAction",
}
"""The wrappers that are not tested here, with the reason and what to use instead."""

# name → (environment, its arguments, how it is wrapped)
SINGLE: dict[str, tuple[str, dict[str, Any], Wrap]] = {
    "AddRenderObservation": ("CartPole-v1", RGB, single.AddRenderObservation),
    "AddWhiteNoise": ("CartPole-v1", RGB, lambda e: single.AddRenderObservation(single.AddWhiteNoise(e, 0.3))),
    "ArrayConversion": ("CartPole-v1", {}, lambda e: single.ArrayConversion(e, np, torch)),
    "Autoreset": ("CartPole-v1", {}, single.Autoreset),
    "ClipAction": ("Pendulum-v1", {}, single.ClipAction),
    "ClipReward": ("Pendulum-v1", {}, lambda e: single.ClipReward(e, -1, 1)),
    "DelayObservation": ("CartPole-v1", {}, lambda e: single.DelayObservation(e, 2)),
    "DiscretizeAction": ("Pendulum-v1", {}, lambda e: single.DiscretizeAction(e, 5)),
    "DiscretizeObservation": ("Pendulum-v1", {}, lambda e: single.DiscretizeObservation(e, 5)),
    "DtypeObservation": ("CartPole-v1", {}, lambda e: single.DtypeObservation(e, np.float64)),
    "FilterObservation": ("Reaching-v0", {}, lambda e: single.FilterObservation(e, ["observation"])),
    "FlattenObservation": ("Reaching-v0", {}, single.FlattenObservation),
    "FrameStackObservation": ("Large-v0", {}, lambda e: single.FrameStackObservation(e, 3)),
    "GrayscaleObservation": ("Large-v0", {}, single.GrayscaleObservation),
    "HumanRendering": ("CartPole-v1", RGB, single.HumanRendering),
    "MaxAndSkipObservation": ("Large-v0", {}, single.MaxAndSkipObservation),
    "NormalizeObservation": ("CartPole-v1", {}, single.NormalizeObservation),
    "NormalizeReward": ("Pendulum-v1", {}, single.NormalizeReward),
    "NumpyToTorch": ("CartPole-v1", {}, single.NumpyToTorch),
    "ObstructView": ("CartPole-v1", RGB, lambda e: single.AddRenderObservation(single.ObstructView(e, 0.1, 3))),
    "OrderEnforcing": ("CartPole-v1", {}, single.OrderEnforcing),
    "PassiveEnvChecker": ("CartPole-v1", {}, single.PassiveEnvChecker),
    "RecordEpisodeStatistics": ("CartPole-v1", {}, single.RecordEpisodeStatistics),
    "RenderCollection": ("CartPole-v1", RGB, single.RenderCollection),
    "RepeatAction": ("CartPole-v1", {}, lambda e: single.RepeatAction(e, 2)),
    "RescaleAction": ("Pendulum-v1", {}, lambda e: single.RescaleAction(e, np.float32(-1), np.float32(1))),
    "RescaleObservation": ("Pendulum-v1", {}, lambda e: single.RescaleObservation(e, np.float32(0), np.float32(1))),
    "ReshapeObservation": ("CartPole-v1", {}, lambda e: single.ReshapeObservation(e, (2, 2))),
    "ResizeObservation": ("Large-v0", {}, lambda e: single.ResizeObservation(e, (20, 30))),
    "StickyAction": ("Pendulum-v1", {}, lambda e: single.StickyAction(e, 0.4)),
    "TimeAwareObservation": ("CartPole-v1", {}, single.TimeAwareObservation),
    "TimeLimit": ("Pendulum-v1", {}, lambda e: single.TimeLimit(e, 7)),
    "TransformAction": ("CartPole-v1", {}, lambda e: single.TransformAction(e, lambda a: 1 - a, e.action_space)),
    "TransformObservation": ("CartPole-v1", {}, lambda e: single.TransformObservation(e, lambda o: -o, None)),
    "TransformReward": ("CartPole-v1", {}, lambda e: single.TransformReward(e, lambda r: 2 * float(r))),
}
VECTOR: dict[str, tuple[str, dict[str, Any], Wrap]] = {
    "ArrayConversion": ("CartPole-v1", {}, lambda e: vector.ArrayConversion(e, np, torch)),
    "ClipAction": ("Pendulum-v1", {}, vector.ClipAction),
    "ClipReward": ("Pendulum-v1", {}, lambda e: vector.ClipReward(e, -1, 1)),
    "DictInfoToList": ("CartPole-v1", {}, vector.DictInfoToList),
    "DtypeObservation": ("CartPole-v1", {}, lambda e: vector.DtypeObservation(e, np.float64)),
    "FilterObservation": ("Reaching-v0", {}, lambda e: vector.FilterObservation(e, ["observation"])),
    "FlattenObservation": ("Reaching-v0", {}, vector.FlattenObservation),
    "GrayscaleObservation": ("Large-v0", {}, vector.GrayscaleObservation),
    "HumanRendering": ("CartPole-v1", RGB, vector.HumanRendering),
    "NormalizeObservation": ("CartPole-v1", {}, vector.NormalizeObservation),
    "NormalizeReward": ("Pendulum-v1", {}, vector.NormalizeReward),
    "NumpyToTorch": ("CartPole-v1", {}, vector.NumpyToTorch),
    "RecordEpisodeStatistics": ("CartPole-v1", {}, vector.RecordEpisodeStatistics),
    "RescaleAction": ("Pendulum-v1", {}, lambda e: vector.RescaleAction(e, -1, 1)),
    "RescaleObservation": ("Pendulum-v1", {}, lambda e: vector.RescaleObservation(e, 0, 1)),
    "ReshapeObservation": ("CartPole-v1", {}, lambda e: vector.ReshapeObservation(e, (2, 2))),
    "ResizeObservation": ("Large-v0", {}, lambda e: vector.ResizeObservation(e, (20, 30))),
    "TransformAction": ("CartPole-v1", {}, lambda e: vector.TransformAction(e, lambda a: 1 - a)),
    "TransformObservation": ("CartPole-v1", {}, lambda e: vector.TransformObservation(e, lambda o: -o)),
    "TransformReward": ("CartPole-v1", {}, lambda e: vector.TransformReward(e, lambda r: 2 * r)),
    "VectorizeTransformAction": (
        "CartPole-v1", {},
        lambda e: vector.VectorizeTransformAction(e, single.TransformAction, func=lambda a: 1 - a, action_space=None),
    ),
    "VectorizeTransformObservation": (
        "CartPole-v1", {}, lambda e: vector.VectorizeTransformObservation(e, single.FlattenObservation),
    ),
    "VectorizeTransformReward": (
        "CartPole-v1", {},
        lambda e: vector.VectorizeTransformReward(e, single.TransformReward, func=lambda r: 2 * float(r)),
    ),
}  # fmt: skip
ATARI: dict[str, Wrap] = {
    "AtariWrapper": atari.AtariWrapper,
    "ClipRewardEnv": atari.ClipRewardEnv,
    "EpisodicLifeEnv": atari.EpisodicLifeEnv,
    "FireResetEnv": atari.FireResetEnv,
    "MaxAndSkipEnv": atari.MaxAndSkipEnv,
    "NoopResetEnv": lambda e: atari.NoopResetEnv(e, 5),
    "WarpFrame": atari.WarpFrame,
}
STABLE: dict[str, tuple[str, dict[str, Any], Wrap]] = {
    "VecCheckNan": ("CartPole-v1", {}, stable.VecCheckNan),
    "VecExtractDictObs": ("Reaching-v0", {}, lambda e: stable.VecExtractDictObs(e, "observation")),
    "VecFrameStack": ("Large-v0", {}, lambda e: stable.VecFrameStack(e, 2)),
    "VecMonitor": ("CartPole-v1", {}, stable.VecMonitor),
    "VecNormalize": ("CartPole-v1", {}, stable.VecNormalize),
    "VecTransposeImage": ("Large-v0", {}, stable.VecTransposeImage),
}


def played(env: Any, count: int) -> Iterator[Any]:
    """The results of a seeded reset and `count` steps, without times, and with float64 rewards as on the wire."""
    actions = actions_for(env, count)
    yield env.reset(seed=7)
    for action in actions:
        answer = env.step(action)
        infos = answer[-1] if isinstance(answer[-1], list) else [answer[-1]]
        for info in infos:
            if isinstance(info, dict) and "episode" in info:
                del info["episode"]["t"]
        yield (answer[0], np.asarray(answer[1], np.float64), *answer[2:]) if np.ndim(answer[1]) else answer
        if np.ndim(answer[2]) == 0 and (answer[2] or answer[3]):
            return


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SINGLE)
def test_single_environments(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env_id, kwargs, wrap = SINGLE[name]
    local, remote = wrap(gymnasium.make(env_id, **kwargs)), wrap(client.make(env_id, **kwargs))
    for one, other in zip(played(local, 20), played(remote, 20), strict=True):
        assert same(one, other)
    assert same(local.render(), remote.render()) if kwargs else True
    for env in (local, remote):
        env.close()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", VECTOR)
def test_vector_environments(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env_id, kwargs, wrap = VECTOR[name]
    local = wrap(gymnasium.make_vec(env_id, 2, **kwargs))
    remote = wrap(client.make_vec(env_id, num_envs=2, **kwargs))
    for one, other in zip(played(local, 12), played(remote, 12), strict=True):
        assert same(one, other)
    for env in (local, remote):
        env.close()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ATARI)
def test_stable_baselines_atari_wrappers(name: str) -> None:
    wrap = ATARI[name]
    local, remote = (wrap(make("ALE/Breakout-v5", frameskip=1)) for make in (gymnasium.make, client.make))
    for one, other in zip(played(local, 60), played(remote, 60), strict=True):
        assert same(one, other)
    remote.close()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", STABLE)
def test_stable_baselines_vector_wrappers(name: str) -> None:
    env_id, kwargs, wrap = STABLE[name]

    def answers(make: Callable[..., Any]) -> list[Any]:
        envs = wrap(DummyVecEnv([lambda: Monitor(make(env_id, **kwargs))] * 2))
        envs.seed(3)
        envs.action_space.seed(3)
        results = [envs.reset()]
        for _ in range(15):
            answer = envs.step(np.array([envs.action_space.sample()] * 2))
            for info in answer[3]:
                info.get("episode", {}).pop("t", None)
            results.append(answer)
        envs.close()
        return results

    assert same(answers(gymnasium.make), answers(client.make))


def test_no_wrapper_is_left_out() -> None:
    known = {f"gymnasium.{name}" for name in single.__all__ if name != "vector" and _is_class(single, name)}
    known |= {f"vector.{name}" for name in vector.__all__}
    known |= {f"atari.{name}" for name, kind in vars(atari).items() if _is_of(kind, gymnasium.Wrapper, atari)}
    known |= {f"stable.{name}" for name in stable.__all__ if _is_of(getattr(stable, name), stable.VecEnvWrapper, None)}
    tested = {f"gymnasium.{name}" for name in (*SINGLE, "AtariPreprocessing")}  # the latter in test_as_local.py
    tested |= {f"vector.{name}" for name in VECTOR} | {f"stable.{name}" for name in STABLE}
    tested |= {f"atari.{name}" for name in ATARI}
    assert known == tested | set(CANNOT) | {"stable.VecEnvWrapper"} and not tested & set(CANNOT)


def _is_class(module: Any, name: str) -> bool:
    try:
        return inspect.isclass(getattr(module, name))
    except (ImportError, gymnasium.error.DependencyNotInstalled):  # JAX is not here
        return True


def _is_of(kind: Any, base: type, module: Any) -> bool:
    return inspect.isclass(kind) and issubclass(kind, base) and (module is None or kind.__module__ == module.__name__)
