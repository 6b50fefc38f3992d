"""Experiments for tests that never train them."""

import contextlib
from typing import Any

from gymserve.environments import Catalogue
from gymserve.settings import Settings
from gymserve.store import connect
from gymserve.training.experiments.lifecycle import Experiments
from gymserve.training.plan.checker import Checker
from tests.support.servers import Server


def untrained(server: Server, account_id: int | None = None, **settings: Any) -> str:
    """Create an experiment in a server's database and return its id.

    A server that is asked for its first experiment tries it, and for this imports the training libraries: 5 s of CPU.
    """
    configuration = Settings(DATA=str(server.data), DATABASE=server.settings.get("DATABASE", ""))
    catalogue = Catalogue.of(configuration)
    checker = Checker(catalogue, {}, catalogue.spaces, minutes=configuration.DEFAULT_TIMEOUT_MINUTES, servers=())
    recipe = {"title": "test", "algorithm": "PPO", "environment": "CartPole-v1", **settings}
    with contextlib.closing(connect(configuration.DATABASE, server.data)) as database:
        return Experiments(database, checker, server.data / "experiments", most=1).create(account_id, recipe).name
