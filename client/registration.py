"""Registers remote environments with Gymnasium.

    gymnasium.make("gymserve.client:remote/CartPole-v1")                the server is $GYMSERVE_SERVER
    gymnasium.make("gymserve.client:remote/Any-v0", env_id="My-v0")     an environment that only the server knows

Importing `gymserve.client` registers them, and `gymnasium.make` imports the module before the colon. After
that, the names work without it. No server is contacted before an environment is made.
"""

import gymnasium
from gymnasium.envs.registration import EnvSpec

from gymserve.client.names import IDS

PREFIX = "remote/"
ANY = f"{PREFIX}Any-v0"


def register(*env_ids: str) -> None:
    """Registers `remote/<id>` for each of `env_ids`, or without any for all ids that Gymnasium or a server knows.

    An id with a namespace, such as `ALE/Pong-v5`, becomes `remote/ALE.Pong-v5`, since Gymnasium's ids have one slash at most.
    """
    known = [env_id for env_id in gymnasium.registry if not env_id.startswith(PREFIX)]
    for env_id in env_ids or (*known, *IDS):
        _register(PREFIX + env_id.replace("/", "."), {"env_id": env_id})
    if not env_ids:
        _register(ANY, {})


def _register(name: str, kwargs: dict[str, str]) -> None:
    if name not in gymnasium.registry:
        # `gymnasium.register` compares each id with all others, which takes long for hundreds.
        gymnasium.registry[name] = EnvSpec(
            name,
            entry_point="gymserve.client.environment:RemoteEnv",
            vector_entry_point="gymserve.client:make_vec",
            kwargs=dict(kwargs),
            order_enforce=False,  # the server does both of these
            disable_env_checker=True,
        )
