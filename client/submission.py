"""Submitting an agent to a challenge: plays the trials, waits for the verdict, and returns the result."""

import importlib
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import quote

from gymserve.client.environment import RemoteEnv
from gymserve.client.transport.address import Address
from gymserve.client.transport.exceptions import ServerError
from gymserve.client.transport.http import Http
from gymserve.client.transport.patience import Limits
from gymserve.system.terminal.progress import Progress

Agent = Callable[[Any], Any]  # observation → action
ACTIVE = ("created", "running", "verifying")
POLL_SECONDS = 0.3


@dataclass(frozen=True)
class Result:
    """The result of a submission; `str` shows it as a table.

    Attributes:
        state: "graded", "abandoned", "failed" or "void"; "verifying" if the wait for the verdict was too short.
        score: the score, or None; then `reason` says why.
        spread: the standard deviation of the trials' values.
        standard_error: the standard error of their mean.
        rank: the place on the leaderboard, or None if that is hidden or there is no score.
        verdict: the verdict of the replay: "verified", "not replayable", "mismatch" or "pending".
        trials: the number, state, total, steps, seconds and value (what it counts for) of each trial.
        address: the URL of the submission's page.
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
    address: str = ""

    def __str__(self) -> str:
        # The table of `gymserve challenge run` (`grader/proofs/tables.py`), and what only a server knows.
        lines = [f"{'trial':>5}  {'return':>12}  {'counts':>12}  {'steps':>7}  {'seconds':>8}  state"]
        lines += [_row(trial) for trial in self.trials]
        values = [trial["value"] for trial in self.trials if trial["value"] is not None]
        mean = sum(values) / len(values) if values else None
        spread, error = _number(self.spread), _number(self.standard_error)
        lines += ["", f"mean {_number(mean)}, spread {spread}, standard error {error}"]
        lines.append(f"score {_number(self.score)}" + (f" ({self.reason})" if self.reason else ""))
        if self.secondary is not None:
            lines.append(f"secondary score {_number(self.secondary)}")
        rank = f"rank {self.rank}, " if self.rank is not None else ""
        lines.append(rank + (f"{self.state}, {self.verdict}" if self.verdict else self.state))
        lines.append(f"submission {self.submission_id}" + (f": {self.address}" if self.address else ""))
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
    """Plays a challenge's trials with an agent, and returns the result.

    Args:
        agent: a function observation → action, or an object with `act(observation)` and perhaps `reset()`, which is
            called before each trial; a class is instantiated with (observation space, action space).
        server, token, limits: as for `client.make`.
        progress: whether to show a line on standard error; None shows it only on a terminal.
        wait: seconds to wait for the verdict.

    Raises:
        LimitReached, TooFast: the challenge allows no more submissions, or not yet.
        NotFound: there is no such challenge, or it is not open.
        ServerError: the server refused, or went away for too long. Trials that were played count.
    """
    env = RemoteEnv(f"challenge:{challenge}", server=server, token=token, limits=limits)
    line = Progress(challenge, progress)
    submission = env.connection.instance.submission_id
    page = f"{env.connection.address}/boards/{quote(challenge)}/submissions/{submission}"
    try:
        _play(env, agent, line)
    except BaseException as error:
        error.add_note(f"The submission {submission} ended with this error, and counts as begun: {page}")
        raise
    finally:
        env.close()  # trials that were not played count as the challenge says
    http = Http(Address.of(server, token), Limits(timeout=60.0))
    try:
        return replace(_verdict(http, submission, wait, line), address=page)
    finally:
        http.close()
        line.end()


def _play(env: RemoteEnv, agent: Agent | type, line: Progress) -> None:
    make: Callable[..., Any] = agent
    policy = make(env.observation_space, env.action_space) if inspect.isclass(agent) else agent
    act: Callable[[Any], Any] = getattr(policy, "act", policy)
    begin: Callable[[], object] = getattr(policy, "reset", lambda: None)
    trial = 0
    observation, _ = env.reset()
    while observation is not None:
        trial, steps, over = trial + 1, 0, False
        begin()
        while not over:
            observation, _, terminated, truncated, _ = env.step(act(observation))
            steps, over = steps + 1, terminated or truncated
            line.update(f"trial {trial}, {steps} steps")
        observation, _ = env.reset()


def _verdict(http: Http, submission_id: str, wait: float, line: Progress) -> Result:
    """The submission's result, once it has one or `wait` seconds are over."""
    deadline = time.monotonic() + wait
    while True:
        row = http.call("GET", f"/submissions/{submission_id}/", patience=60.0)
        if row["state"] not in ACTIVE or time.monotonic() > deadline:
            names = [each.name for each in fields(Result) if each.name != "address"]
            return Result(**{name: row.get(name) for name in names})
        line.show(f"{row['state']} …")
        time.sleep(POLL_SECONDS)


def _row(trial: dict[str, Any]) -> str:
    seconds = "–" if trial["seconds"] is None else format(trial["seconds"], ".2f")
    total, value = _number(trial["total"]), _number(trial["value"])
    return f"{trial['number']:>5}  {total:>12}  {value:>12}  {trial['steps']:>7}  {seconds:>8}  {trial['state']}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")


def load_agent(name: str) -> Any:
    """The agent that `module:attribute` names.

    Raises:
        ServerError: the module cannot be imported, or has no such attribute.
    """
    module, colon, attribute = name.partition(":")
    try:
        if not colon:
            raise AttributeError("the form is module:attribute")
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ServerError(f"cannot load the agent {name}: {error}") from error
