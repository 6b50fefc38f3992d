"""The catalogue: Gymnasium's environments, those that the organiser added, and the old ids that agents still use."""

import difflib
import importlib
import importlib.metadata
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import gymnasium
from gymnasium.envs.registration import EnvSpec

from gymserve.environments import arguments, car_race, offloading, old_atari, opensim, requirements
from gymserve.environments.clipping import ClipActions
from gymserve.environments.foreign import error_text, pass_on_interrupt
from gymserve.environments.making import make
from gymserve.protocol.errors import (
    EnvironmentFailed,
    GymserveError,
    InvalidRequest,
    SettingsError,
    UnknownArgument,
    UnknownEnvironment,
)
from gymserve.protocol.generics import ForeignEnv
from gymserve.protocol.recipe import Recipe
from gymserve.protocol.spaces import describe, jsonable
from gymserve.protocol.wire import JSONObject
from gymserve.settings import Settings
from gymserve.system import randomness

_ID = re.compile(r"(?:[A-Za-z0-9_.-]+/)?[A-Za-z0-9_.-]+")
_NAME_VERSION = re.compile(r"(.+?)(?:-v(\d+))?")
_OURS = "remote/"  # registered by our own client, if it is installed
_LIGHT = (
    "gymnasium.envs.classic_control",
    "gymnasium.envs.toy_text",
    "gymnasium.envs.box2d",
    "gymserve.environments.car_race",
    "gymserve.environments.offloading",
)
_HEAVY = ("ale_py", "gymserve.environments.opensim")
_KNOWN_OLD = (  # old ids that agents use, listed as aliases
    "FrozenLake-v0", "FrozenLake8x8-v0", "Pendulum-v0", "Blackjack-v0", "LunarLander-v2", "LunarLanderContinuous-v2",
    "Taxi-v1", "Taxi-v2", "CliffWalking-v0", "BipedalWalker-v2", "BipedalWalkerHardcore-v2", "CarRacing-v0",
    "CarRacing-v2", "HalfCheetah-v1", "HalfCheetah-v2", "HalfCheetah-v3", "Hopper-v1", "Hopper-v2", "Hopper-v3",
    "Walker2d-v1", "Walker2d-v2", "Walker2d-v3", "Ant-v1", "Ant-v2", "Ant-v3", "Humanoid-v1", "Humanoid-v2",
    "Humanoid-v3", "Swimmer-v1", "Swimmer-v2", "Swimmer-v3", "Reacher-v1", "Reacher-v2", "Pusher-v2", "Pusher-v4",
    "InvertedPendulum-v1", "InvertedPendulum-v2", "InvertedDoublePendulum-v1", "InvertedDoublePendulum-v2",
    "HumanoidStandup-v1", "HumanoidStandup-v2", "Acrobot-v0",
)  # fmt: skip
_ALIASES = opensim.ALIASES | car_race.ALIASES
_OLD = (*_KNOWN_OLD, *_ALIASES)
_ATARI = re.compile(r"(ALE/)?(Pong|Breakout|SpaceInvaders|Seaquest|Qbert|BeamRider|Enduro|MsPacman|Freeway|Asteroids)")


def register() -> None:
    """Registers the environments that come with this server with Gymnasium; a second call changes nothing."""
    opensim.register()
    car_race.register()
    offloading.register()


@dataclass(frozen=True)
class Environment:
    """An entry of the catalogue that can be made.

    Args:
        requested: the id that the agent used.
        kind: "shared": light, shares a host with others; "dedicated": gets a host of its own.
    """

    id: str
    requested: str
    kind: str

    @property
    def spec(self) -> EnvSpec:
        return gymnasium.registry[self.id]


class Catalogue:
    """The environments that a server offers.

    Args:
        modules: the organiser's modules, which register environments when they are imported.
        kwargs: environment id → names of kwargs that agents may pass, in addition to the built-in ones.
        shared: ids, or module prefixes, of environments that may share a host.

    Raises:
        SettingsError: a module cannot be imported.
    """

    def __init__(
        self,
        modules: Sequence[str] = (),
        *,
        kwargs: Mapping[str, Sequence[str]] | None = None,
        shared: Sequence[str] = (),
    ) -> None:
        register()
        for module in modules:
            try:
                importlib.import_module(module)
            except Exception as error:
                raise SettingsError(f"ENVIRONMENT_MODULES: {module} cannot be imported: {error}") from error
        if importlib.util.find_spec("ale_py"):
            ale = importlib.import_module("ale_py")
            ale.ALEInterface.setLoggerMode(ale.LoggerMode.Error)
        self.modules = tuple(modules)
        self._kwargs = dict(kwargs or {})
        self._shared = (*_LIGHT, *shared)

    @classmethod
    def of(cls, settings: Settings) -> "Catalogue":
        """The catalogue of a server with these settings.

        Raises:
            SettingsError: a module cannot be imported.
        """
        kwargs, shared = settings.ENVIRONMENT_KWARGS, settings.SHARED_ENVIRONMENTS
        return cls(settings.ENVIRONMENT_MODULES, kwargs=kwargs, shared=shared)

    def ids(self) -> list[str]:
        """All ids except those of `old_atari`, including environments for which something is missing."""
        env_ids = list(gymnasium.registry)
        return [env_id for env_id in env_ids if not env_id.startswith(_OURS) and env_id not in old_atari.registered]

    def resolve(self, env_id: object) -> Environment:
        """The entry for an id that an agent sent: an id, that of an old version, or a name without a version.

        Nothing is imported: the id is only looked up.

        Raises:
            UnknownEnvironment: there is no such environment, or something is missing to make it.
        """
        if not isinstance(env_id, str) or len(env_id) > 100 or not _ID.fullmatch(env_id) or ".." in env_id:
            raise _unknown_environment(env_id, "an id looks like CartPole-v1")
        resolved = self._newest(env_id)
        if resolved is None:
            raise _unknown_environment(env_id, self._hint(env_id))
        spec = gymnasium.registry[resolved]
        if (missing := requirements.missing(spec)) is not None:
            install = requirements.install(spec)
            raise _unknown_environment(env_id, f"{missing} is missing here" + (f": {install}" if install else ""))
        return Environment(resolved, env_id, self._kind(spec))

    def _newest(self, env_id: str) -> str | None:
        """The id itself if it can be made, else the newest version of its name that can, else the id if it is registered."""
        env_id = _ALIASES.get(env_id, env_id)
        old_atari.register(env_id)
        registered = gymnasium.registry.get(env_id)
        if env_id.startswith(_OURS):
            return None
        if registered is not None and requirements.missing(registered) is None:
            return env_id
        match = _NAME_VERSION.fullmatch(env_id)
        namespace, _, name = match[1].rpartition("/") if match else ("", "", env_id)
        versions = [
            spec
            for spec in list(gymnasium.registry.values())  # a copy, since another thread may register more
            if spec.name == name and (spec.namespace or "") == namespace and requirements.missing(spec) is None
        ]
        newest = max(versions, key=lambda spec: spec.version or 0, default=None)
        if newest is not None and int((match and match[2]) or 0) <= (newest.version or 0):
            return newest.id
        return env_id if registered is not None else None

    def _hint(self, env_id: str) -> str:
        if _ATARI.match(env_id) and not importlib.util.find_spec("ale_py"):
            return "Atari needs ale-py: pip install ale-py"
        near = difflib.get_close_matches(env_id, self.ids(), 3, 0.6)
        return f"did you mean {', '.join(near)}?" if near else "GET /v1/environments/ lists what there is"

    def _kind(self, spec: EnvSpec) -> str:
        module = requirements.entry_module(spec)
        light = spec.id in self._shared or any(module == one or module.startswith(one + ".") for one in self._shared)
        return "shared" if light else "dedicated"

    def make(self, recipe: Recipe, *, render_mode: str | None = None) -> ForeignEnv:
        """Makes the environment, or vector environment, of a recipe.

        Args:
            render_mode: overrides the recipe's own.

        Raises:
            UnknownEnvironment: it is not, or no longer, in the catalogue.
            InvalidRequest: it cannot be made with these parameters.
            EnvironmentFailed: its constructor raised an error; for a graded instance, the message gives no details.
        """
        if recipe.global_seed is not None:
            randomness.seed(recipe.global_seed)
        try:
            env = make(
                self.resolve(recipe.environment),
                kwargs=recipe.kwargs,
                max_episode_steps=recipe.max_episode_steps,
                render_mode=render_mode or recipe.render_mode,
                num_envs=recipe.num_envs,
                autoreset=recipe.autoreset_mode,
                wrappers=recipe.wrappers,
            )
            return ClipActions(env) if recipe.clip_actions else env
        except GymserveError as error:
            if not recipe.is_graded:
                raise
            cause = error.__cause__ or error
            text = f"the trial's environment {recipe.environment} cannot be made ({type(cause).__name__})"
            raise EnvironmentFailed(text) from cause

    def allowed_kwargs(self, environment: Environment) -> list[str]:
        """The names of the kwargs that an agent may pass."""
        own = arguments.names(environment.spec) if requirements.is_built_in(environment.spec) else []
        return sorted({*own, *self._kwargs.get(environment.id, ())})

    def check_kwargs(self, environment: Environment, kwargs: object) -> None:
        """Refuses kwargs that are not plain data under allowed names.

        Raises:
            InvalidRequest: the message gives the refused name or value, and the allowed names.
        """
        if not isinstance(kwargs, dict):
            raise InvalidRequest(f"kwargs must be an object, not {kwargs!r:.50}")
        allowed = self.allowed_kwargs(environment)
        for name in kwargs:
            if name not in allowed:
                known = ", ".join(allowed) or "none"
                raise UnknownArgument(f"kwargs: the unexpected keyword argument {name!r:.50} is not among {known}")
        arguments.check_size(kwargs)

    def rows(self, env_ids: Iterable[str]) -> list[JSONObject]:
        """The rows of environments: the facts that are known without making them."""
        newest = {old: self._newest(old) for old in _OLD}
        return [self._row(env_id, [old for old in _OLD if old != env_id == newest[old]]) for env_id in env_ids]

    def _row(self, env_id: str, aliases: list[str]) -> dict[str, object]:
        spec = gymnasium.registry[env_id]
        missing = requirements.missing(spec)
        row: JSONObject = {
            "id": env_id,
            "aliases": aliases,
            "kind": self._kind(spec),
            "max_episode_steps": spec.max_episode_steps,
            "reward_threshold": spec.reward_threshold,
            "vector_entry_point": spec.vector_entry_point is not None,
            "missing": missing,
            "install": requirements.install(spec) if missing else None,
        }
        if missing is None:
            try:
                row["kwargs"] = self.allowed_kwargs(Environment(env_id, env_id, row["kind"]))
            except EnvironmentFailed as error:
                row["missing"] = str(error)
        return row

    def quick(self) -> list[str]:
        """The ids of the environments that can be made quickly: all of them in a second or two.

        Atari's hundreds of environments would take half a minute, and OpenSim 150 MB.
        """
        specs = [gymnasium.registry[env_id] for env_id in self.ids()]
        light = [spec for spec in specs if not requirements.entry_module(spec).startswith(_HEAVY)]
        return [spec.id for spec in light if requirements.missing(spec) is None]

    def spaces(self, env_id: str, kwargs: dict[str, object]) -> JSONObject:
        """The spaces and render modes of an environment, which is made and closed; so web workers ask a host for them.

        Raises:
            UnknownEnvironment, InvalidRequest, EnvironmentFailed: it cannot be made with these kwargs, described, or closed.
        """
        env = make(self.resolve(env_id), kwargs=kwargs)
        try:
            described = {
                "render_modes": jsonable(env.metadata.get("render_modes", [])),
                "action_space": describe(env.action_space),
                "observation_space": describe(env.observation_space),
            }
            env.close()
        except BaseException as error:
            pass_on_interrupt(error)
            raise EnvironmentFailed(f"{env_id} fails once it is made: {error_text(error)}") from error
        return described

    def versions(self) -> list[object]:
        """Everything that rows and spaces depend on; a listing kept in a file is valid while it stays the same."""
        packages = ("gymserve", "gymnasium", "ale-py", "mujoco", "box2d", "opensim", "numpy")
        versions = []
        for package in packages:
            try:
                versions.append(importlib.metadata.version(package))
            except importlib.metadata.PackageNotFoundError:
                versions.append("")
        return [versions, opensim.present(), self.ids(), list(self._shared), sorted(self._kwargs)]


def may_mean(env_id: str, environment: str) -> bool:
    """Whether some catalogue, maybe on another machine, may resolve this id to this environment: see `resolve`."""
    requested, known = (_NAME_VERSION.fullmatch(each[:100]) for each in (_ALIASES.get(env_id, env_id), environment))
    if requested is None or known is None or requested[1] != known[1]:
        return False
    return int(requested[2] or 0) <= int(known[2] or 0)


def _unknown_environment(env_id: object, hint: str) -> UnknownEnvironment:
    shown = env_id[:100] if isinstance(env_id, str) else env_id
    return UnknownEnvironment(f"Attempted to look up malformed environment ID '{shown!s:.100}': {hint}")
