"""The instances, as the rest of the server sees them: it creates, lists and calls them by their tokens."""

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
    """Creates and calls instances. Calls raise `UnknownInstance` if no instance has the token.

    Args:
        step_seconds: time limit for one call to an environment.
        most_envs: the maximum number of copies in a vector instance.
    """

    def __init__(self, pool: Pool, catalogue: environments.Catalogue, *, step_seconds: float, most_envs: int) -> None:
        self.pool, self.catalogue = pool, catalogue
        self.listing = environments.Listing(catalogue, pool.spaces, pool.data / "catalogue.json", seconds=step_seconds)
        self._most_envs = most_envs
        self._env_ids: dict[str, str] = {}

    @classmethod
    def of(cls, settings: Settings) -> "Instances":
        """The instances of a server with these settings.

        Raises:
            SettingsError: one of ENVIRONMENT_MODULES cannot be imported.
        """
        pool, catalogue = Pool.of(settings), environments.Catalogue.of(settings)
        return cls(pool, catalogue, step_seconds=settings.STEP_SECONDS, most_envs=settings.MAX_NUM_ENVS)

    def create(
        self,
        env_id: str,
        *,
        idempotency_key: str | None = None,
        account: int = 0,
        alone: bool = False,
        **options: Unpack[creation.InstanceOptions],
    ) -> str:
        """Creates an instance and returns its token; a repeated `idempotency_key` of an account returns the same token.

        Args:
            account: the instance's account, or 0 for none.
            alone: whether its token alone gives access.
            options: how its environment is made; with `trials` it is a graded instance.

        Raises:
            UnknownEnvironment, InvalidRequest: the environment is unknown, or an option is invalid.
            LimitReached: the settings allow no further instance.
            KeyReused: the key was used for another request.
        """
        environment = self.catalogue.resolve(env_id)
        recipe = creation.plain_recipe(env_id, environment.id, options, most_envs=self._most_envs)
        if options.get("trials") is None:
            self.catalogue.check_kwargs(environment, recipe.kwargs)
        else:
            recipe = creation.graded_recipe(recipe, options)
        kind, apart = creation.host_of(recipe, environment)
        body = creation.request_body(recipe)
        placement = self.pool.supervisor.ask(PlaceInstance(kind, apart, idempotency_key, body, account, alone))
        if placement.new or not self.exists(placement.token):
            self.pool.call(CreateInstance(placement.token, creation.with_global_seed(recipe).to_dict()))
        return placement.token

    def exists(self, token: str) -> bool:
        """Whether a live or closed instance has this token."""
        return (self.pool.instances / token).exists() or (self.closed / token).exists()

    @property
    def closed(self) -> Path:
        """The folder that holds the folders of closed instances."""
        return self.pool.data / "closed"

    def folder(self, token: str) -> Path:
        """The folder of a live instance, with its journal and its monitor's files."""
        if folders.slot_of(token) is None or not (self.pool.instances / token).exists():
            raise errors.UnknownInstance(f"Instance_id {token:.100} unknown")
        return self.pool.instances / token

    def list(self, account: int | None = None) -> dict[str, str]:
        """The live instances of one account or of all (None): token → environment id as requested."""
        live = folders.tokens(self.pool.instances)
        known = self._env_ids
        for token in live:
            if token not in known and (recipe := folders.recipe_of(self.pool.instances / token)) is not None:
                known[token] = recipe.env_id
        self._env_ids = {token: known[token] for token in live if token in known}
        return {t: name for t, name in self._env_ids.items() if account is None or folders.owner_of(t) == account}

    def reset(
        self,
        token: str,
        *,
        seed: Any = None,
        options: Any = None,
        seq: int | None = None,
        msgpack: bool = False,
        call: int | None = None,
        is_lost: bool = False,
    ) -> bytes:
        """Starts an episode; returns the response's body, see `hosts.instance.answers.body`.

        Args:
            call, is_lost: see `step`.
        """
        return self.pool.call(ResetInstance(token, seed, options, _call(seq, call), msgpack), is_lost=is_lost)

    def step(
        self,
        token: str,
        action: Any,
        *,
        seq: int | None = None,
        at: float | None = None,
        is_packed: bool = False,
        msgpack: bool = False,
        call: int | None = None,
        is_lost: bool = False,
    ) -> bytes:
        """Acts once; returns the response's body, see `hosts.instance.answers.body`. This is HTTP's hot path.

        Args:
            at: the monotonic time when the request had arrived completely; the agent is not charged for later delays.
            is_packed: whether the action is packed, as in msgpack, instead of plain data from JSON.
            msgpack: whether the body is msgpack instead of JSON.
            call: what a host knows this request by, if it has perhaps carried it out already.
            is_lost: whether that host has just ended in the middle of it.
        """
        return self.pool.call(StepInstance(token, action, at, _call(seq, call), is_packed, msgpack), is_lost=is_lost)

    def describe(self, token: str, *, short: bool = False) -> dict[str, Any]:
        """Describes the instance and its state, see `hosts.instance.answers.description`."""
        return self.pool.call(DescribeInstance(token, short))

    def sample(self, token: str) -> object:
        """Samples the action space; returns plain data for JSON."""
        return self.pool.call(SampleAction(token))

    def contains(self, token: str, text: str) -> bool:
        """Whether the JSON `text` is a valid action."""
        return self.pool.call(CheckAction(token, text))

    def render(self, token: str) -> tuple[str, bytes]:
        """Renders the current state as (media type, body): a PNG, or the output of the instance's render mode."""
        return self.pool.call(RenderInstance(token))

    def monitor(self, token: str, options: dict[str, object] | None) -> None:
        """Starts monitoring with `options`, or closes the monitor (None)."""
        self.pool.call(MonitorInstance(token, options))

    def close(self, token: str) -> Path:
        """Ends the instance; returns the folder of the closed instance."""
        was_live = folders.slot_of(token) is not None and (self.pool.instances / token).exists()
        try:
            self.pool.call(CloseInstance(token))
        except (errors.UnknownInstance, errors.EnvironmentFailed):
            if not was_live or not (self.closed / token).exists():
                raise
            # The instance is closed; its environment failed while it was closed, and was ended with its host.
        return self.closed / token

    def attach(self, token: str, descriptor: int, *, compression: str, handshake: bytes, early: bytes) -> None:
        """Hands an agent's socket to the instance's host, see `Pool.attach`."""
        self.pool.attach(token, descriptor, compression=compression, handshake=handshake, early=early)


def _call(seq: int | None, known: int | None) -> int:
    """Returns the id of a step or a reset, by which a host carries it out once even if the pool repeats it."""
    if seq is not None:
        return seq
    return ~random.getrandbits(32) if known is None else known
