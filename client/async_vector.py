"""A remote vector environment whose copies step at the same time, each in an instance of its own."""

import dataclasses
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate
from numpy.typing import NDArray

from gymserve.client.copies import Copy
from gymserve.client.environment import Copyable, decode_rendering
from gymserve.client.pending import RENDER, RESET, STEP, Pending
from gymserve.client.transport.address import Address
from gymserve.client.transport.exceptions import Conflict, InvalidRequest, InvalidValue
from gymserve.client.transport.instance import InstanceRequest
from gymserve.client.transport.patience import Limits
from gymserve.client.transport.pipelined import PipelinedConnection
from gymserve.protocol import errors, wire
from gymserve.protocol.spaces import codec

Step = tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]
MOST_AT_ONCE = 16  # instances that are created at the same time


class AsyncRemoteVectorEnv(Copyable, VectorEnv[Any, Any, Any]):
    """A vector of `num_envs` instances, with the methods of `gymnasium.vector.AsyncVectorEnv`, and EnvPool's `send` and `recv`.

    See `client.make_vec`. If a call fails for one copy, its error has that copy's number as `env_id`. The results of the
    other copies are kept: the same call made again returns them, without another step of these copies.
    """

    metadata = {"render_modes": ["rgb_array", "ansi"], "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        *,
        batch_size: int | None = None,
        server: str | None = None,
        token: str | None = None,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        wrappers: Sequence[Mapping[str, object]] | None = None,
        compression: str | None = None,
        limits: Limits | None = None,
        **kwargs: Any,
    ) -> None:
        self.closed = True  # until the copies are there
        mode, self.batch_size = AutoresetMode(autoreset_mode), num_envs if batch_size is None else batch_size
        if not 1 <= self.batch_size <= num_envs:
            raise InvalidRequest(f"batch_size must be from 1 to num_envs = {num_envs}, not {batch_size}")
        if env_id.startswith("challenge:"):
            raise InvalidRequest("a challenge is played in one environment: client.make, or client.submit")
        request = InstanceRequest(
            env_id=env_id,
            render_mode=render_mode,
            max_episode_steps=max_episode_steps,
            wrappers=wrappers,
            kwargs=kwargs,
        )
        address, limits = Address.of(server, token), limits or Limits()
        connections = _all_or_none(
            lambda: PipelinedConnection(address, request, limits, compression=compression), num_envs
        )
        self._pending = Pending()
        self._copies = [Copy(number, each, mode, self._pending.answers) for number, each in enumerate(connections)]
        self.closed = False
        self._observations: list[Any] = [None] * num_envs  # that were handed over last
        self.num_envs, self.autoreset_mode = num_envs, mode
        self.connection = connections[0]
        instance = self.connection.instance
        self.instance_ids = tuple(each.instance.token for each in connections)
        self.single_action_space, self.single_observation_space = instance.single_spaces()
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.metadata = instance.metadata() | {"autoreset_mode": mode}
        self.render_mode = instance.render_mode
        self.spec = dataclasses.replace(
            instance.spec(address),
            vector_entry_point=f"{__name__}:{type(self).__name__}",
            kwargs=request.arguments() | {"server": str(address)} | self._own_arguments(),
        )
        self._actions = codec(self.single_action_space)

    # --- Gymnasium's methods ---------------------------------------------------------------------------------------

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        self.reset_async(seed, options)
        return self.reset_wait()

    def step(self, actions: Any) -> Step:
        self.step_async(actions)
        return self.step_wait()

    def reset_async(
        self, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> None:
        """Has all copies reset, or those of `options["reset_mask"]`; `reset_wait` or `recv` returns the results."""
        seeds = self._seeds(seed)
        numbers, options = self._masked(options)
        self._pending.check_free(numbers)
        packed = wire.pack(options)
        for number in numbers:
            reset = partial(self._copies[number].reset, seeds[number], options)
            self._pending.ask(number, (RESET, (seeds[number], packed)), reset)

    def reset_wait(self, timeout: float | None = None) -> tuple[Any, dict[str, Any]]:
        """(observations, infos) of all copies.

        Raises:
            Conflict: no reset is under way.
            TimedOut: they took longer than `timeout` seconds; they are still under way.
        """
        observations, *_, infos = self._wait_for_all(RESET, timeout)
        return observations, infos

    def step_async(self, actions: Any) -> None:
        """Has all copies step; `step_wait` or `recv` returns the results."""
        self.send(actions)

    def step_wait(self, timeout: float | None = None) -> Step:
        """(observations, rewards, terminations, truncations, infos) of all copies; it raises what `reset_wait` does."""
        return self._wait_for_all(STEP, timeout)

    def render(self) -> tuple[Any, ...] | None:
        """Each copy's state, such as (height, width, 3) uint8; None without a render mode."""
        if self.render_mode is None:
            return None
        self._pending.check_free(range(self.num_envs))
        for number, copy in enumerate(self._copies):
            self._pending.ask(number, (RENDER, None), copy.render)
        return tuple(map(decode_rendering, self._pending.all(None).values()))

    def close_extras(self, **kwargs: object) -> None:
        """Closes the instances on the server, and ends calls under way; in a forked process it does nothing."""
        self._pending.closed = True
        if os.getpid() == self._pending.process:
            for copy in self._copies:
                copy.close()

    # --- EnvPool's methods -----------------------------------------------------------------------------------------

    def send(self, actions: Any, env_ids: Any = None) -> None:
        """Has the copies `env_ids` step, default all, with an action each; the others are not touched.

        Raises:
            InvalidValue: an action is not in the action space; nothing was done.
            Conflict: one of these copies has not answered its last request yet, or its episode is over; nothing was done.
        """
        numbers = range(self.num_envs) if env_ids is None else self._numbers(env_ids)
        chosen = list(iterate(self.action_space, actions))
        if len(chosen) != len(numbers):
            raise InvalidValue(f"there are {len(chosen)} actions for {len(numbers)} copies", 400)
        self._pending.check_free(numbers)
        packed = list(map(self._packed, numbers, chosen))
        for number in numbers:
            self._copies[number].check_step()
        for number, action, one in zip(numbers, chosen, packed, strict=True):
            self._pending.ask(number, (STEP, one), partial(self._copies[number].step, action))

    def recv(self, timeout: float | None = None) -> Step:
        """What `step_wait` returns, of the first `batch_size` copies that are ready, or of all if fewer were asked.

        `infos["env_id"]` has their numbers in ascending order; each array has a row for each. A reset has the reward 0.

        Raises:
            Conflict: no copy was asked anything.
            TimedOut: they took longer than `timeout` seconds; they are still under way.
            ServerError: that of a copy, whose number is the error's `env_id`; the other results follow with the next call.
        """
        self._pending.check_open()
        if not self._pending.requests:
            raise Conflict("nothing is under way: call send, step_async or reset_async first")
        results = self._pending.first(min(self.batch_size, len(self._pending.requests)), timeout)
        numbers = list(results)
        *step, infos = self._batch(results, numbers)
        infos = infos if len(numbers) == self.num_envs else _rows(infos, numbers)
        return *step, infos | {"env_id": np.array(numbers)}

    # --- inside ----------------------------------------------------------------------------------------------------

    def _wait_for_all(self, kind: str, timeout: float | None) -> Step:
        self._pending.check_open()
        kinds = self._pending.kinds
        if kinds != {kind} or (kind == STEP and len(self._pending.requests) < self.num_envs):
            under_way = " and ".join(sorted(kinds)) or "nothing"
            raise Conflict(f"{kind}_wait waits for {kind}_async, without recv in between; {under_way} is under way")
        return self._batch(self._pending.all(timeout), range(self.num_envs))

    def _batch(self, results: dict[int, Any], numbers: Sequence[int]) -> Step:
        """The results of some copies, with the latest observations of the copies `numbers`."""
        infos: dict[str, Any] = {}
        for number, result in results.items():
            self._observations[number] = result[0]
            infos = self._add_info(infos, result[4], number)
        _, rewards, terminated, truncated, _ = zip(*results.values(), strict=True)
        space = self.single_observation_space
        empty: Any = create_empty_array(space, n=len(numbers), fn=np.zeros)
        return (
            concatenate(space, [self._observations[number] for number in numbers], empty),
            np.array(rewards, np.float64),
            np.array(terminated, np.bool_),
            np.array(truncated, np.bool_),
            infos,
        )

    def _packed(self, number: int, action: object) -> Any:
        """A copy's action, checked as the server does it, so that one that is refused has no other one carried out."""
        name = f"action[{number}]"
        try:
            packed = self._actions.pack(action, name=name)
            self._actions.unpack(packed, name=name)
            return packed
        except errors.InvalidValue as error:
            raise InvalidValue(str(error), 400) from None

    def _numbers(self, env_ids: Any) -> list[int]:
        numbers = [operator.index(one) for one in env_ids]
        if len(set(numbers)) < len(numbers) or not set(numbers) <= set(range(self.num_envs)):
            raise InvalidValue(f"env_ids must be different numbers below {self.num_envs}, not {numbers}", 400)
        return numbers

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        """Each copy's seed; an integer is the first copy's, and the others count on from it."""
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, (list, tuple, np.ndarray)):
            if len(seed) != self.num_envs:
                raise InvalidRequest(f"seed has {len(seed)} elements, expected {self.num_envs}", 400)
            return [None if one is None else operator.index(one) for one in seed]
        return [operator.index(seed) + number for number in range(self.num_envs)]  # type: ignore[arg-type]

    def _masked(self, options: dict[str, Any] | None) -> tuple[Sequence[int], dict[str, Any] | None]:
        """(the copies to reset, the options without the mask that names them)."""
        if options is None or "reset_mask" not in options:
            return range(self.num_envs), options
        mask = np.asarray(options["reset_mask"])
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise InvalidRequest(f"reset_mask must be {self.num_envs} booleans, at least one of them true", 400)
        left_out = [number for number in np.flatnonzero(~mask) if self._observations[number] is None]
        if left_out:
            raise Conflict("reset all copies once, without reset_mask, before you reset only some of them", 409)
        return np.flatnonzero(mask).tolist(), {key: value for key, value in options.items() if key != "reset_mask"}

    def _own_arguments(self) -> dict[str, Any]:
        mode = self.autoreset_mode.value
        return {"num_envs": self.num_envs, "batch_size": self.batch_size, "autoreset_mode": mode}

    def _arguments(self) -> dict[str, Any]:
        return super()._arguments() | self._own_arguments()


def _all_or_none(create: Callable[[], PipelinedConnection], count: int) -> list[PipelinedConnection]:
    """`count` connections; if one cannot be made, the others are closed, and its error is raised."""
    with ThreadPoolExecutor(min(count, MOST_AT_ONCE)) as pool:
        futures = [pool.submit(create) for _ in range(count)]
    failed = [error for future in futures if (error := future.exception()) is not None]
    made = [future.result() for future in futures if future.exception() is None]
    if failed:
        for connection in made:
            connection.close()
        raise failed[0]
    return made


def _rows(infos: dict[str, Any], numbers: Sequence[int]) -> dict[str, Any]:
    """The infos of some copies."""
    return {key: _rows(value, numbers) if isinstance(value, dict) else value[numbers] for key, value in infos.items()}
