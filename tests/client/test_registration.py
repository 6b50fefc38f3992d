"""`gymnasium.make("remote/…")` knows every id of a server that has everything, without contacting one."""

import gymnasium

from gymserve.client.names import IDS
from gymserve.environments import Catalogue
from gymserve.environments.requirements import entry_module
from tests.client.test_environment import run
from tests.support.servers import Server

PACKAGES = ("gymnasium.", "ale_py", "gymserve.")
IN_THE_DOCUMENTED_SETUP = """
import sys, gymnasium
for env_id, shape in (("gymserve.client:remote/ALE.Pong-v5", (210, 160, 3)), ("remote/PongNoFrameskip-v4", (210, 160, 3))):
    env = gymnasium.make(env_id)
    assert env.reset(seed=0)[0].shape == shape, env_id
    env.close()
assert gymnasium.spec("remote/osim.Run-v0").kwargs == {"env_id": "osim/Run-v0"}
assert not [name for name in sys.modules if name.partition(".")[0] in ("ale_py", "opensim")]
"""


def test_every_id_of_the_catalogue_has_a_remote_name() -> None:
    ids = Catalogue().ids()
    remote = {gymnasium.spec(name).kwargs.get("env_id") for name in gymnasium.registry if name.startswith("remote/")}
    assert {"ALE/Pong-v5", "PongNoFrameskip-v4", "osim/Run-v0"} < set(ids)
    assert [
        env_id for env_id in ids if env_id.startswith(("ALE/", "Pong", "osim/", "runt/")) and env_id not in IDS
    ] == []
    shipped = [each for each in ids if entry_module(gymnasium.registry[each]).startswith(PACKAGES)]  # tests have others
    assert len(shipped) > 300 and set(shipped) <= remote


def test_they_are_made_when_only_the_server_is_set(server: Server) -> None:
    ended = run(IN_THE_DOCUMENTED_SETUP, server.url)
    assert ended.returncode == 0, ended.stderr
