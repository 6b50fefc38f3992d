"""Exports journals as a Minari data set, for offline learning.

Observations come from replays, everything else from the journals.
"""

import copy
import importlib
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec, load_env_creator

from gymserve.environments import Catalogue
from gymserve.environments.foreign import close
from gymserve.journal import Episode, Record, episodes_of
from gymserve.protocol.errors import InvalidRequest, NotReplayable
from gymserve.protocol.generics import Space, Value
from gymserve.protocol.spaces import codec
from gymserve.recording.video.episodes import make_environment, replay

if TYPE_CHECKING:
    from minari import MinariDataset
    from minari.data_collector import EpisodeBuffer

Progress = Callable[[int, int], None]  # (episodes done, episodes in all)


def export(
    journals: Sequence[Sequence[Record]],
    catalogue: Catalogue,
    dataset: str,
    *,
    progress: Progress = lambda done, number: None,
    **about: str,
) -> "MinariDataset":
    """Creates a data set where Minari keeps them (`MINARI_DATASETS_PATH`), and returns it as Minari loads it.

    Each episode with at least one step becomes one of the data set's episodes: observations of (steps + 1,), actions, rewards
    and flags of (steps,), and its seed if it had one. An unfinished episode is truncated at its last step.

    Args:
        dataset: its name, `namespace/name-v0`.
        about: Minari's metadata: algorithm_name, author, description.

    Raises:
        InvalidRequest: there is nothing to export, the journals have different environments, Minari is not installed,
            already has a data set of this name, or refuses the name.
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
        warnings.simplefilter("ignore")  # Minari warns if there is no author, permalink …
        return minari.create_dataset_from_buffers(
            dataset,
            buffers,
            env=spec,
            observation_space=observation_space,
            action_space=action_space,
            jpeg_encoding=False,  # keep observations exactly as the agent received them
            **about,
        )


def _check_name(dataset: str, minari: ModuleType) -> None:
    """Refuses an existing data set's name, and one that is invalid: its folder would break Minari until it is deleted."""
    try:
        minari.dataset.minari_dataset.parse_dataset_id(dataset)
    except ValueError as error:
        raise InvalidRequest(f"Minari: {error}") from error
    if dataset in minari.list_local_datasets():
        raise InvalidRequest(f"there is a data set {dataset} already: delete it, or choose another name")


def _buffers(
    episodes: Sequence[Episode], catalogue: Catalogue, minari: ModuleType, progress: Progress
) -> tuple[list["EpisodeBuffer"], tuple[Space, Space]]:
    """(the episodes as Minari's buffers, (observation space, action space))."""
    buffers: list[EpisodeBuffer] = []
    shared: tuple[Space, Space] | None = None
    for done, episode in enumerate(episodes):
        progress(done, len(episodes))
        buffer, own = _buffer(episode, catalogue, minari)
        shared = shared or own
        if own != shared:
            raise InvalidRequest(f"episode {episode.number} has other spaces than the first: export them separately")
        buffers.append(buffer)
    progress(len(episodes), len(episodes))
    assert shared is not None
    return buffers, shared


def _minari() -> ModuleType:
    try:
        importlib.import_module("h5py")
        minari = importlib.import_module("minari")
        importlib.import_module("minari.data_collector")
    except ImportError as error:
        raise InvalidRequest("data sets need Minari: pip install 'gymserve[datasets]'") from error
    return minari


def _spec(episodes: Sequence[Episode], catalogue: Catalogue) -> EnvSpec | None:
    """The specification of the episodes' environment; None if it cannot be serialized, as with an unnamed function.

    Raises:
        InvalidRequest: the episodes have different environments.
    """
    first = episodes[0].recipe
    for episode in episodes:
        if episode.recipe.environment != first.environment:
            names = f"{first.environment} and {episode.recipe.environment}"
            raise InvalidRequest(f"one data set has one environment, but the journals have {names}")
    env = make_environment(episodes[0], catalogue, render=False)
    spec = env.spec
    close(env)
    return _serializable(spec)


def _serializable(spec: EnvSpec | None) -> EnvSpec | None:
    """The specification with names instead of classes and functions as its entry points; None if that is not possible."""
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
    except (TypeError, ValueError):  # its arguments are not plain data
        return None
    return spec


def _buffer(episode: Episode, catalogue: Catalogue, minari: ModuleType) -> tuple["EpisodeBuffer", tuple[Space, Space]]:
    """(an episode as Minari's buffer, (observation space, action space))."""
    env = make_environment(episode, catalogue, render=False)
    try:
        observations = []
        for step in replay(env, episode):
            if not step.agrees:
                raise NotReplayable(
                    f"episode {episode.number} does not replay identically from step {step.number} on: "
                    "its observations are lost, and cannot be exported"
                )
            observations.append(_copy(step.observation))
        unpack = codec(env.action_space).unpack
        actions = [unpack(step.action) for step in episode.steps]
        truncations = [bool(step.truncated) for step in episode.steps]
        truncations[-1] = truncations[-1] or not episode.is_over
        seed = episode.reset.seed
        buffer = minari.data_collector.EpisodeBuffer(
            seed=seed if isinstance(seed, int) else None,
            options=episode.reset.options or None,
            observations=_stack(env.observation_space, observations),
            actions=_stack(env.action_space, actions),
            rewards=[float(step.reward) for step in episode.steps],
            terminations=[bool(step.terminated) for step in episode.steps],
            truncations=truncations,
        )
        return buffer, (env.observation_space, env.action_space)
    finally:
        close(env)


def _copy(value: object) -> object:
    """A copy of an observation, since the environment may overwrite its arrays."""
    if isinstance(value, dict):
        return {name: _copy(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return tuple(_copy(each) for each in value)
    return np.array(value) if isinstance(value, np.ndarray) else value


def _stack(space: Space, values: Sequence[Value]) -> Value:
    """A sequence of values in Minari's form: a dictionary or tuple of lists instead of a list of them."""
    if isinstance(space, spaces.Dict):
        return {name: _stack(each, [value[name] for value in values]) for name, each in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_stack(each, [value[index] for value in values]) for index, each in enumerate(space.spaces))
    return list(values)
