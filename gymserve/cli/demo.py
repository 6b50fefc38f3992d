"""`python -m gymserve.cli.demo URL`: what `gymserve serve --demo` shows: a challenge, a submission and a trained model."""

import sys
from typing import Any

from gymserve.client.submission import submit
from gymserve.client.training import Experiments
from gymserve.client.transport.address import Address
from gymserve.client.transport.exceptions import ServerError
from gymserve.client.transport.http import Http
from gymserve.client.transport.patience import Limits
from gymserve.grader.challenges import examples

CHALLENGE, EXPERIMENT = "cartpole", "demo"
TIMESTEPS = 20_000


def fill(server: str) -> None:
    """Makes on a server what is not there yet, and prints where it is.

    Raises:
        ServerError: the server refused, or went away.
    """
    http = Http(Address.of(server), Limits(timeout=60.0))
    toml = examples.path_of(CHALLENGE).read_text()
    if not any(each["name"] == CHALLENGE for each in http.call("GET", "/challenges/")["challenges"]):
        http.call("POST", "/challenges/", {"toml": toml})
    places = http.call("GET", f"/challenges/{CHALLENGE}/leaderboard")["places"]
    if all(each["baseline"] for each in places):
        submit(CHALLENGE, _balance, server=server, progress=False)
    print(f"demo: the leaderboard is at {server}/boards/{CHALLENGE}", flush=True)
    experiments = Experiments(server)
    if not experiments.list(search=EXPERIMENT):
        training: dict[str, Any] = {"algorithm": "PPO", "environment": "CartPole-v1", "tuned": True}
        run = experiments.train(EXPERIMENT, **training, total_timesteps=TIMESTEPS)
        print(f"demo: an experiment is at {server}/training/{run.id}", flush=True)
        run.wait(progress=False).keep(EXPERIMENT)
    print(f"demo: the model is at {server}/training/models", flush=True)
    experiments.close()
    http.close()


def _balance(observation: Any) -> int:
    """Pushes the cart towards the side to which the pole falls."""
    return int(observation[2] + observation[3] > 0)


if __name__ == "__main__":
    try:
        fill(sys.argv[1])
    except ServerError as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit(1)
