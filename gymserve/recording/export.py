"""Journals as a Minari data set, for offline learning: observations come from replays, all else from the journals."""

import copy
import importlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec, load_env_creator

from gymserve.environments import Catalogue
from gymserve.environments.foreign import close
from gymserve.journal import Episode, Record, episodes_of
from gymserve.protocol.errors import InvalidRequest, NotReplayable
from gymserve.protocol.spaces import codec
from gymserve.recording.video.episodes import made, moments

Progress = Callable[[int, int], None]  # (episodes done, of how many)


def export(
    journals: Sequence[Sequence[Record]],
    catalogue: Catalogue,
    dataset: str,
    *,
    progress: Progress = lambda done, number: None,
    **about: Any,
) -> Any:
    """The new data set, as Minari loads it. It stands where Minari keeps them (`MINARI_DATASETS_PATH`).

    Each episode with at least one step is one of the data set's: observations of (steps + 1,), actions, rewards and flags of
    (steps,), the seed where it was given. An episode that was left is truncated at its last step.

    Args:
        dataset: its name, `namespace/name-v0`.
        about: what else Minari notes: algorithm_name, author, description.

    Raises:
        InvalidRequest: there is nothing to export, the journals' environments are not the same, Minari is not installed,
            has such a data set already, or does not take the name.
        NotReplayable: an episode does not replay identically.
        EnvironmentFailed: the environment raised an error, or cannot be made.
    """
    minari = _minari()
    _check_name(dataset, minari)
    episodes = [episode for records in journals for episode in episodes_of(records) if episode.steps]
    if not episodes:
        raise InvalidRequest("the journals hold no episode with a step")
    spec = _spec(episodes, catalogue)
    buffers, (observation_space, action_space) = _buffers(episodes, catalogue, minari, progress)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Minari misses an author, a permalink …
        return minari.create_dataset_from_buffers(
            dataset,
            buffers,
            env=spec,
            observation_space=observation_space,
            action_space=action_space,
            jpeg_encoding=False,  # what the agent saw, to the bit
            **about,
        )


def _check_name(dataset: str, minari: Any) -> None:
    """Refuses a name that Minari does not take (its folder would stand in Minari's way for good), or has already."""
    try:
        minari.dataset.minari_dataset.parse_dataset_id(dataset)
    except ValueError as error:
        raise InvalidRequest(f"Minari: {error}") from error
    if dataset in minari.list_local_datasets():
        raise InvalidRequest(f"there is a data set {dataset} already: delete it, or take another name")


def _buffers(
    episodes: Sequence[Episode], catalogue: Catalogue, minari: Any, progress: Progress
) -> tuple[list[Any], tuple[Any, Any]]:
    """(the episodes as Minari takes them, (observation space, action space))."""
    buffers: list[Any] = []
    shared: tuple[Any, Any] | None = None
    for done, episode in enumerate(episodes):
        progress(done, len(episodes))
        buffer, own = _buffer(episode, catalogue, minari)
        shared = shared or own
        if own != shared:
            raise InvalidRequest(f"episode {episode.number} has other spaces than the first: export them apart")
        buffers.append(buffer)
    progress(len(episodes), len(episodes))
    assert shared is not None
    return buffers, shared


def _minari() -> Any:
    try:
        importlib.import_module("h5py")
        minari = importlib.import_module("minari")
        importlib.import_module("minari.data_collector")
    except ImportError as error:
        raise InvalidRequest("data sets need Minari: pip install 'gymserve[datasets]'") from error
    return minari


def _spec(episodes: Sequence[Episode], catalogue: Catalogue) -> Any:
    """The specification of the environment that all episodes have; None if it cannot be written down, as with a function
    that has no name.

    Raises:
        InvalidRequest: they have not the same.
    """
    first = episodes[0].recipe
    for episode in episodes:
        if episode.recipe.environment != first.environment:
            names = f"{first.environment} and {episode.recipe.environment}"
            raise InvalidRequest(f"one data set has one environment, and the journals have {names}")
    env = made(episodes[0], catalogue, render=False)
    spec = env.spec
    close(env)
    return _written(spec)


def _written(spec: EnvSpec | None) -> EnvSpec | None:
    """A specification whose entry points are names instead of classes and functions; None where they have none."""
    spec = copy.copy(spec)
    if spec is None:
        return None
    for point in ("entry_point", "vector_entry_point"):
        if callable(creator := getattr(spec, point)):
            setattr(spec, point, name := f"{getattr(creator, '__module__', '')}:{getattr(creator, '__qualname__', '')}")
            try:
                if load_env_creator(name) is not creator:
                    return None
            except (AttributeError, ImportError, ValueError):
                return None
    try:
        spec.to_json()
    except (TypeError, ValueError):  # its arguments are no plain data
        return None
    return spec


def _buffer(episode: Episode, catalogue: Catalogue, minari: Any) -> tuple[Any, tuple[Any, Any]]:
    """(an episode as Minari takes it, (observation space, action space))."""
    env = made(episode, catalogue, render=False)
    try:
        observations = []
        for moment in moments(env, episode):
            if not moment.agrees:
                raise NotReplayable(
                    f"episode {episode.number} does not replay identically from step {moment.step} on: "
                    "its observations are lost, and cannot be exported"
                )
            observations.append(_copied(moment.observation))
        unpack = codec(env.action_space).unpack
        actions = [unpack(step.action) for step in episode.steps]
        truncations = [bool(step.truncated) for step in episode.steps]
        truncations[-1] = truncations[-1] or not episode.is_over
        seed = episode.reset.seed
        buffer = minari.data_collector.EpisodeBuffer(
            seed=seed if isinstance(seed, int) else None,
            options=episode.reset.options or None,
            observations=_stacked(env.observation_space, observations),
            actions=_stacked(env.action_space, actions),
            rewards=[float(step.reward) for step in episode.steps],
            terminations=[bool(step.terminated) for step in episode.steps],
            truncations=truncations,
        )
        return buffer, (env.observation_space, env.action_space)
    finally:
        close(env)


def _copied(value: Any) -> Any:
    """An observation that the environment does not write into any more."""
    if isinstance(value, dict):
        return {name: _copied(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return tuple(_copied(each) for each in value)
    return np.array(value) if isinstance(value, np.ndarray) else value


def _stacked(space: gymnasium.Space[Any], values: Sequence[Any]) -> Any:
    """Values one after another in Minari's form: dictionaries and tuples of lists instead of lists of them."""
    if isinstance(space, spaces.Dict):
        return {name: _stacked(each, [value[name] for value in values]) for name, each in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_stacked(each, [value[index] for value in values]) for index, each in enumerate(space.spaces))
    return list(values)
