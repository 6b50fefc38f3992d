"""Sending an agent through a challenge: plays its trials, waits for the verdict, and tells what it got."""

import importlib
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from client.address import Address
from client.environment import RemoteEnv
from client.exceptions import ServerError
from client.http import Http
from client.instance import Limits
from client.progress import Progress

Agent = Callable[[Any], Any]  # observation → action
UNSETTLED = ("created", "running", "verifying")
LOOK_SECONDS = 0.3


@dataclass(frozen=True)
class Result:
    """What a submission got; `str` shows it as a table.

    Args:
        state: graded, abandoned, failed, void; or verifying, if nobody waited.
        score: None where there is none, and `reason` says why.
        spread: the standard deviation of the trials' values; `standard_error`: of their mean.
        rank: on the leaderboard; None where it is hidden, or there is no score.
        verdict: what the replay said: verified, not replayable, mismatch, or pending.
        trials: of each: number, state, total, steps, seconds, value (what it counts).
    """

    submission_id: str
    challenge: str
    state: str
    reason: str
    score: float | None
    spread: float | None
    standard_error: float | None
    rank: int | None
    verdict: str
    trials: list[dict[str, Any]]
    secondary: float | None = None

    def __str__(self) -> str:
        """The table of `python -m grader run` (`grader/tables.py`), and a line of what only a server knows."""
        lines = [f"{'trial':>5}  {'return':>12}  {'counts':>12}  {'steps':>7}  {'seconds':>8}  state"]
        lines += [_row(trial) for trial in self.trials]
        values = [trial["value"] for trial in self.trials if trial["value"] is not None]
        mean = sum(values) / len(values) if values else None
        spread, error = _number(self.spread), _number(self.standard_error)
        lines += ["", f"mean {_number(mean)}, spread {spread}, standard error {error}"]
        lines.append(f"score {_number(self.score)}" + (f" ({self.reason})" if self.reason else ""))
        if self.secondary is not None:
            lines.append(f"secondary score {_number(self.secondary)}")
        place = f"rank {self.rank}, " if self.rank is not None else ""
        lines.append(place + (f"{self.state}, {self.verdict}" if self.verdict else self.state))
        return "\n".join(lines)


def submit(
    challenge: str,
    agent: Agent | type,
    *,
    server: str | None = None,
    token: str | None = None,
    progress: bool | None = None,
    wait: float = 600.0,
    limits: Limits | None = None,
) -> Result:
    """Sends `agent` through a challenge.

    Args:
        agent: a function observation → action, or something with `act(observation)` and, to hear of each trial's start,
            `reset()`; a class is made with (observation space, action space).
        server, token: as of `client.make`.
        progress: a line on standard error; None: on a terminal.
        wait: seconds to wait for the verdict.

    Raises:
        LimitReached, TooFast: no submission is left, or not yet.
        NotFound: there is no such challenge, or it is not open.
        ServerError: the server refused, or went away for too long. What was played counts.
    """
    env = RemoteEnv(f"challenge:{challenge}", server=server, token=token, limits=limits)
    shown = Progress(challenge, progress)
    try:
        _play(env, agent, shown)
    finally:
        env.close()  # what was not played counts as the challenge says
    http = Http(Address.of(server, token), timeout=60.0, connect_timeout=10.0)
    try:
        return _settled(http, env.connection.instance.submission_id, wait, shown)
    finally:
        http.close()
        shown.end()


def _play(env: RemoteEnv, agent: Any, shown: Progress) -> None:
    spaces = (env.observation_space, env.action_space) if inspect.isclass(agent) else None
    policy: Any = agent if spaces is None else agent(*spaces)
    act: Any = getattr(policy, "act", policy)
    begin: Any = getattr(policy, "reset", lambda: None)
    trial = 0
    observation, _ = env.reset()
    while observation is not None:
        trial, steps, over = trial + 1, 0, False
        begin()
        while not over:
            observation, _, terminated, truncated, _ = env.step(act(observation))
            steps, over = steps + 1, terminated or truncated
            shown.tell(f"trial {trial}, {steps} steps")
        observation, _ = env.reset()


def _settled(http: Http, submission_id: str, wait: float, shown: Progress) -> Result:
    deadline = time.monotonic() + wait
    while True:
        told = http.patiently("GET", f"/submissions/{submission_id}/", seconds=60.0)
        if told["state"] not in UNSETTLED or time.monotonic() > deadline:
            names = Result.__dataclass_fields__
            return Result(**{name: told.get(name) for name in names})
        shown.note(f"{told['state']} …")
        time.sleep(LOOK_SECONDS)


def _row(trial: dict[str, Any]) -> str:
    seconds = "–" if trial["seconds"] is None else format(trial["seconds"], ".2f")
    total, value = _number(trial["total"]), _number(trial["value"])
    return f"{trial['number']:>5}  {total:>12}  {value:>12}  {trial['steps']:>7}  {seconds:>8}  {trial['state']}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")


def named(agent: str) -> Any:
    """The agent that `module:policy` stands for.

    Raises:
        ServerError: there is none.
    """
    module, colon, attribute = agent.partition(":")
    try:
        if not colon:
            raise AttributeError("the form is module:policy")
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ServerError(f"the agent {agent} cannot be found: {error}") from error
