"""A client of rewards-api for tests: its documented parameters, its requests, its streams of images."""

import io
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from tests.support.servers import Answer, Server
from tests.training.conftest import Trainer

AGENT = {
    "model_configuration": "[[5,49],[49,3]]", "learning_rate": 60, "loss_fn": "mse", "optimizer": "adam", "gamma": 90,
    "epsilon": 20, "num_episodes": 700,
}  # fmt: skip
ENVIRONMENT = {"environment_name": "car-race", "environment_world": 2, "mode": "training", "car_speed": 20}
REWARD = 'def reward_func(props):\n    reward = 0\n    if props["is_alive"]:\n        reward = 1\n    return reward\n'
TRAINING = {"learning_algorithm": "DQN", "enable_wandb": False, "reward_function": REWARD}
LEARNING_EPISODES = 280  # enough for a car to learn to stay on the first track
SLOW = 300.0


class Racer(Trainer):
    """A server, with the requests of rewards-api's users."""

    @classmethod
    def of(cls, server: Server) -> "Racer":
        """The same for a server that is already running, and keeps running."""
        racer = cls.__new__(cls)
        vars(racer).update(vars(server))
        return racer

    def api(self, method: str, name: str, **params: Any) -> Answer:
        """Send a request with its parameters in the query."""
        return self.request(method, f"/api/v1/{name}?{urllib.parse.urlencode(params)}")

    def session(self, name: str, *, agent: Any = (), environment: Any = (), training: Any = ()) -> str:
        """Create a session with the document's parameters, changed by the arguments."""
        assert self.api("POST", "create_session", session_id=name).status == 200
        parts = {
            "write_env_params": {**ENVIRONMENT, **dict(environment)},
            "write_agent_parameters": {**AGENT, **dict(agent)},
            "write_training_params": {**TRAINING, **dict(training)},
        }
        for path, values in parts.items():
            answer = self.post(f"/api/v1/{path}", {"session_id": name, **values})
            assert answer.status == 200, answer.body
        return name

    def stream(self, name: str, path: str = "stream", **params: Any) -> Any:
        """Open a stream of images."""
        query = urllib.parse.urlencode({"session_id": name, **params})
        return urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=SLOW)

    def params(self, name: str) -> dict[str, Any]:
        payload: dict[str, Any] = self.api("GET", "get_all_params", session_id=name).json
        return payload

    def status(self, name: str) -> str:
        return str(self.params(name)["model_card"]["status"])

    def experiment_of(self, name: str) -> str:
        return str(self.params(name)["model_card"]["graph"]).split("/")[2]


def pictures(stream: Any) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the images of a stream, and check that it ends properly."""
    while (line := stream.readline()) == b"--frame\r\n":
        assert stream.readline() == b"Content-Type: image/jpeg\r\n"
        size = int(stream.readline().partition(b":")[2])
        assert stream.readline() == b"\r\n"
        image = Image.open(io.BytesIO(stream.read(size)))
        assert image.format == "JPEG" and stream.readline() == b"\r\n"
        yield np.asarray(image)
    assert line == b"--frame--\r\n", line
