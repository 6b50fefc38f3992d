"""Remote environments under names that `gymnasium.make` knows.

    gymnasium.make("remote/CartPole-v1")                  the server is $GYMSERVE_SERVER
    gymnasium.make("remote/Any-v0", env_id="My-v0")       an environment that only the server knows

Importing `client` registers them, which `gymserve/remote.py` does where the variable is set; `gymnasium.make` does it for
"client:remote/…", since it imports what stands before a colon. Nothing is asked of a server before an environment is made.
"""

import gymnasium

PREFIX = "remote/"
ANY = f"{PREFIX}Any-v0"


def register(*env_ids: str) -> None:
    """Registers `remote/<id>` for `env_ids`, without any for all that Gymnasium knows here.

    An id with a namespace, such as `ALE/Pong-v5`, is `remote/ALE.Pong-v5`.
    """
    known = [env_id for env_id in gymnasium.registry if not env_id.startswith(PREFIX)]
    for env_id in env_ids or known:
        _register(PREFIX + env_id.replace("/", "."), {"env_id": env_id})
    if not env_ids:
        _register(ANY, {})


def _register(name: str, kwargs: dict[str, str]) -> None:
    if name not in gymnasium.registry:
        gymnasium.register(
            name,
            entry_point="client.environment:RemoteEnv",
            vector_entry_point="client:make_vec",
            kwargs=dict(kwargs),
            order_enforce=False,  # the server does both of these
            disable_env_checker=True,
        )
