"""The instances, as the rest of the server sees them: made, found, listed and asked by their tokens."""

import hashlib
from pathlib import Path
from typing import Any

from gymserve import environments, errors
from gymserve.hosts import answers, folders
from gymserve.hosts.allowance import checked as checked_allowance
from gymserve.hosts.pool import Pool, request_body
from gymserve.hosts.trials import checked, kind
from gymserve.settings import Settings


class Instances:
    """Every call names an instance by its token, and ends in `UnknownInstance` where there is none."""

    def __init__(self, settings: Settings, catalogue: environments.Catalogue) -> None:
        self.settings = settings
        self.catalogue = catalogue
        self.pool = Pool(settings)
        self.listing = environments.Listing(
            catalogue, self.pool.spaces, self.pool.data / "catalogue.json", seconds=settings.STEP_SECONDS
        )
        self._env_ids: dict[str, str] = {}

    def create(
        self,
        env_id: str,
        *,
        seed: int | None = None,
        kwargs: dict[str, Any] | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        num_envs: int = 1,
        autoreset_mode: str | None = None,
        idempotency_key: str | None = None,
        account: int = 0,
        alone: bool = False,
        trials: list[dict[str, Any]] | None = None,
        allowance: dict[str, float | None] | None = None,
        clip_actions: bool = False,
    ) -> str:
        """Makes an instance and returns its token; the same one for an account's repeated `idempotency_key`.

        Args:
            account: whose it is to be; 0: nobody's.
            alone: its token alone is to let a bearer in.
            trials: makes it a graded instance: `[{"seed": int, "options": dict | None, "kwargs": dict}, …]`, in their
                order. They are the organiser's secret: no agent may give, see or change them. `max_episode_steps` is
                the horizon of each, and any kwargs are allowed.
            allowance: of a graded instance, how long its agent may take, see `hosts.allowance`.
            clip_actions: of a graded instance: actions outside of the space are clipped to it, not refused.

        Raises:
            UnknownEnvironment, InvalidRequest: it cannot be made like this.
            LimitReached: the server holds as many as it may.
            KeyReused: the key was used for another request.
        """
        environment = self.catalogue.resolve(env_id)
        answers.checked_seed(seed)
        self._check_counts(max_episode_steps, num_envs)
        if render_mode is not None and not isinstance(render_mode, str):
            raise errors.InvalidRequest(f"render_mode must be a string, not {render_mode!r:.50}")
        if trials is None:
            self.catalogue.check_kwargs(environment, kwargs or {})
        order: dict[str, Any] = {
            "env_id": env_id,
            "environment": environment.id,
            "kwargs": kwargs or {},
            "seed": seed,
            "num_envs": num_envs,
            "max_episode_steps": max_episode_steps,
            "render_mode": render_mode,
            "autoreset_mode": "NextStep" if autoreset_mode is None and num_envs > 1 else autoreset_mode,
        }
        body = request_body(order)
        if trials is not None:
            if num_envs != 1:
                raise errors.InvalidRequest("a graded instance has one environment: num_envs must be 1")
            order |= {"trials": checked(trials), "allowance": checked_allowance(allowance or {})}
            if clip_actions:
                order["clip_actions"] = True
            body = hashlib.sha256(request_body(order).encode()).hexdigest()  # it is kept, and the seeds are secret
        own = kind(order) if environment.kind == "dedicated" else ""
        token, new = self.pool.place(kind=own, key=idempotency_key, body=body, account=account, alone=alone)
        if new or not self.exists(token):
            self.pool.call("create", token, order)
        return token

    def _check_counts(self, max_episode_steps: Any, num_envs: Any) -> None:
        most = self.settings.MAX_NUM_ENVS
        if type(num_envs) is not int or not 1 <= num_envs <= most:
            raise errors.InvalidRequest(
                f"num_envs must be an integer from 1 to MAX_NUM_ENVS = {most}, not {num_envs!r:.50}"
            )
        if max_episode_steps is not None and (type(max_episode_steps) is not int or not 0 < max_episode_steps < 2**31):
            raise errors.InvalidRequest(f"max_episode_steps must be a positive integer, not {max_episode_steps!r:.50}")

    def exists(self, token: str) -> bool:
        """Whether an instance has, or had, this token."""
        return (self.pool.instances / token).exists() or (self.closed / token).exists()

    @property
    def closed(self) -> Path:
        """The folder of the closed instances' folders."""
        return self.pool.data / "closed"

    def folder(self, token: str) -> Path:
        """Where a live instance keeps its journal and its monitor's files."""
        if folders.slot_of(token) is None or not (self.pool.instances / token).exists():
            raise errors.UnknownInstance(f"Instance_id {token:.100} unknown")
        return self.pool.instances / token

    def list(self, account: int | None = None) -> dict[str, str]:
        """The live instances, of one account or of all (None): token → environment as asked for."""
        live = folders.tokens(self.pool.instances)
        known = self._env_ids
        for token in live:
            if token not in known and (meta := folders.made_as(self.pool.instances / token)) is not None:
                known[token] = str(meta["env_id"])
        self._env_ids = {token: known[token] for token in live if token in known}
        return {t: name for t, name in self._env_ids.items() if account is None or folders.owner_of(t) == account}

    def reset(self, token: str, *, seed: Any = None, options: Any = None, seq: int | None = None) -> bytes:
        """Starts an episode; the answer as JSON text, see `hosts.answers.plain`."""
        answer: bytes = self.pool.move("reset", token, seed, options, seq=answers.checked_seq(seq))
        return answer

    def step(self, token: str, action: Any, *, seq: int | None = None) -> bytes:
        """Acts once; the answer as JSON text, see `hosts.answers.plain`. This is HTTP's hot path."""
        answer: bytes = self.pool.move("step", token, action, seq=answers.checked_seq(seq))
        return answer

    def describe(self, token: str) -> dict[str, Any]:
        """What the instance is and how it is doing, see `hosts.answers.description`."""
        description: dict[str, Any] = self.pool.call("describe", token)
        return description

    def sample(self, token: str) -> Any:
        """A random action, as JSON."""
        return self.pool.call("sample", token)

    def contains(self, token: str, text: str) -> bool:
        """Whether the JSON `text` is an action."""
        return bool(self.pool.call("contains", token, text))

    def render(self, token: str) -> bytes:
        """The current picture as PNG."""
        picture: bytes = self.pool.call("render", token)
        return picture

    def monitor(self, token: str, options: dict[str, Any] | None) -> None:
        """Starts monitoring with `options`, or closes the monitor (None)."""
        self.pool.call("monitor", token, options)

    def close(self, token: str) -> Path:
        """Ends the instance; returns the folder that is left of it."""
        there = folders.slot_of(token) is not None and (self.pool.instances / token).exists()
        try:
            self.pool.call("close", token)
        except (errors.UnknownInstance, errors.EnvironmentFailed):
            if not there or not (self.closed / token).exists():
                raise
            # It is closed; only its environment was not willing to be, and was ended with its host.
        return self.closed / token

    def attach(self, token: str, descriptor: int, *, compression: str, handshake: bytes, early: bytes) -> None:
        """Hands an agent's socket to the instance's host, see `Pool.attach`."""
        self.pool.attach(token, descriptor, compression=compression, handshake=handshake, early=early)
