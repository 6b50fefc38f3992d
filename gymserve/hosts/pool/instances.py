"""The instances, as the rest of the server sees them: made, found, listed and asked by their tokens."""

import random
from pathlib import Path
from typing import Any, Unpack

from gymserve import environments
from gymserve.hosts import folders
from gymserve.hosts.messages import (
    CheckAction,
    CloseInstance,
    CreateInstance,
    DescribeInstance,
    MonitorInstance,
    PlaceInstance,
    RenderInstance,
    ResetInstance,
    SampleAction,
    StepInstance,
)
from gymserve.hosts.pool import creation
from gymserve.hosts.pool.connections import Pool
from gymserve.protocol import errors
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
        idempotency_key: str | None = None,
        account: int = 0,
        alone: bool = False,
        **options: Unpack[creation.Options],
    ) -> str:
        """Makes an instance and returns its token; the same one for an account's repeated `idempotency_key`.

        Args:
            account: whose it is to be; 0: nobody's.
            alone: its token alone is to let a bearer in.
            options: how its environment is made, and `trials` that make it a graded instance.

        Raises:
            UnknownEnvironment, InvalidRequest: it cannot be made like this.
            LimitReached: the server holds as many as it may.
            KeyReused: the key was used for another request.
        """
        environment = self.catalogue.resolve(env_id)
        recipe = creation.plain(env_id, environment.id, options, most_envs=self.settings.MAX_NUM_ENVS)
        if options.get("trials") is None:
            self.catalogue.check_kwargs(environment, recipe.kwargs)
        else:
            recipe = creation.graded(recipe, options)
        kind, apart = creation.host_of(recipe, environment)
        body = creation.request_body(recipe)
        placement = self.pool.supervisor.ask(PlaceInstance(kind, apart, idempotency_key, body, account, alone))
        if placement.new or not self.exists(placement.token):
            self.pool.call(CreateInstance(placement.token, creation.with_global_seed(recipe).to_dict()))
        return placement.token

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
            if token not in known and (recipe := folders.recipe_of(self.pool.instances / token)) is not None:
                known[token] = recipe.env_id
        self._env_ids = {token: known[token] for token in live if token in known}
        return {t: name for t, name in self._env_ids.items() if account is None or folders.owner_of(t) == account}

    def reset(self, token: str, *, seed: Any = None, options: Any = None, seq: int | None = None) -> bytes:
        """Starts an episode; the answer as JSON text, see `hosts.answers.plain`."""
        return self.pool.call(ResetInstance(token, seed, options, _call(seq)))

    def step(self, token: str, action: Any, *, seq: int | None = None, at: float | None = None) -> bytes:
        """Acts once; the answer as JSON text, see `hosts.answers.plain`. This is HTTP's hot path.

        Args:
            at: when the request was whole, by the monotonic clock: what passes from then on is no time that an agent takes.
        """
        return self.pool.call(StepInstance(token, action, at, _call(seq)))

    def describe(self, token: str, *, short: bool = False) -> dict[str, Any]:
        """What the instance is and how it is doing, see `hosts.answers.description`."""
        return self.pool.call(DescribeInstance(token, short))

    def sample(self, token: str) -> Any:
        """A random action, as JSON."""
        return self.pool.call(SampleAction(token))

    def contains(self, token: str, text: str) -> bool:
        """Whether the JSON `text` is an action."""
        return self.pool.call(CheckAction(token, text))

    def render(self, token: str) -> tuple[str, bytes]:
        """The current state as (media type, body): a PNG, or what else the instance's render mode gives."""
        return self.pool.call(RenderInstance(token))

    def monitor(self, token: str, options: dict[str, Any] | None) -> None:
        """Starts monitoring with `options`, or closes the monitor (None)."""
        self.pool.call(MonitorInstance(token, options))

    def close(self, token: str) -> Path:
        """Ends the instance; returns the folder that is left of it."""
        there = folders.slot_of(token) is not None and (self.pool.instances / token).exists()
        try:
            self.pool.call(CloseInstance(token))
        except (errors.UnknownInstance, errors.EnvironmentFailed):
            if not there or not (self.closed / token).exists():
                raise
            # It is closed; only its environment was not willing to be, and was ended with its host.
        return self.closed / token

    def attach(self, token: str, descriptor: int, *, compression: str, handshake: bytes, early: bytes) -> None:
        """Hands an agent's socket to the instance's host, see `Pool.attach`."""
        self.pool.attach(token, descriptor, compression=compression, handshake=handshake, early=early)


def _call(seq: int | None) -> int:
    """What names a step or a reset, so that it is carried out once, also where its host is lost in between."""
    return ~random.getrandbits(32) if seq is None else seq
