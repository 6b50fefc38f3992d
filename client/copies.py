"""One copy of a vector environment whose copies are instances of their own; see `client.async_vector`."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from gymnasium.vector import AutoresetMode

from gymserve.client.transport.exceptions import Conflict
from gymserve.client.transport.pipelined import PipelinedConnection

Answers = SimpleQueue[tuple[int, Any]]
"""(number of the copy, its result or the error instead), in the order in which they came."""
Wait = Callable[[], Any]


class Copy:
    """A remote environment that resets itself as a copy in Gymnasium's vector environments does.

    `step`, `reset` and `render` send a request, and return at once. A thread of the copy's own waits for the result, and
    puts it into `answers`. One request at a time.

    Args:
        number: of the copy, from 0.
    """

    def __init__(self, number: int, connection: PipelinedConnection, mode: AutoresetMode, answers: Answers) -> None:
        self.connection = connection
        self.mode = mode
        self._over = False  # whether the episode is, so that the next step is not the environment's
        self._final: tuple[Any, ...] | None = None  # the last step's result, if the reset in the same step has failed
        self._waits: SimpleQueue[Wait | None] = SimpleQueue()
        threading.Thread(
            target=_work, args=(number, self._waits, answers), name=f"copy {number} of a vector", daemon=True
        ).start()

    def check_step(self) -> None:
        """Checks that the copy can be stepped.

        Raises:
            Conflict: its episode is over, and nothing but the agent resets it.
        """
        if self._over and self.mode is AutoresetMode.DISABLED:
            raise Conflict("an episode is over: reset that copy, with options={'reset_mask': ...}", 409)

    def step(self, action: Any) -> None:
        """A step, or the reset that takes its place; the result is that of a vector environment's copy."""
        if self._final is not None:
            self._waits.put(self._same_step(lambda: self._final))
        elif self._over and self.mode is AutoresetMode.NEXT_STEP:
            self.reset(None, None)
        elif self.mode is AutoresetMode.SAME_STEP:
            self._waits.put(self._same_step(self.connection.step(action)))
        else:
            self._waits.put(self._step(self.connection.step(action)))

    def reset(self, seed: int | None, options: dict[str, Any] | None) -> None:
        """A reset; the result is that of a step with the reward 0."""
        self._waits.put(self._reset(self.connection.reset(seed, options)))

    def render(self) -> None:
        """A picture of the current state."""
        self._waits.put(self.connection.render())

    def close(self) -> None:
        """Closes the instance; a request under way ends with an error."""
        self.connection.close()
        self._waits.put(None)

    # --- what the copy's thread calls ------------------------------------------------------------------------------

    def _step(self, wait: Wait) -> Wait:
        def result() -> Any:
            step = wait()
            self._over = step[2] or step[3]
            return step

        return result

    def _reset(self, wait: Wait) -> Wait:
        def result() -> Any:
            observation, info = wait()
            self._over, self._final = False, None
            return observation, 0.0, False, False, info

        return result

    def _same_step(self, wait: Wait) -> Wait:
        def result() -> Any:
            step = observation, reward, terminated, truncated, info = wait()
            if not (terminated or truncated):
                return step
            self._final = step
            start, start_info = self.connection.reset(None, None)()
            self._final = None
            return start, reward, terminated, truncated, {"final_info": info, "final_obs": observation, **start_info}

        return result


def _work(number: int, waits: SimpleQueue[Wait | None], answers: Answers) -> None:
    while (wait := waits.get()) is not None:
        try:
            answer = wait()
        except BaseException as error:
            answer = error
        answers.put((number, answer))
        del wait, answer  # which would keep them until the next request
