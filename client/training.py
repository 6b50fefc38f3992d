"""Experiments and models on a server, from Python.

experiments = client.Experiments("http://127.0.0.1:5000")
run = experiments.train("pole", algorithm="PPO", environment="CartPole-v1", tuned=True)
run.wait()
timesteps, rewards = run.metrics("reward")["reward"]
model = run.keep()
model.predict(observation)
"""

import math
import time
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np

from client.address import Address
from client.exceptions import ServerError
from client.http import Http
from client.progress import Progress

AT_REST = ("created", "paused", "completed", "failed", "stopped")
LOOK_SECONDS = 0.5
BAR = 30  # characters


class Experiments:
    """A server's experiments.

    Args:
        server, token: as of `client.make`.
    """

    def __init__(self, server: str | None = None, *, token: str | None = None) -> None:
        self.http = Http(Address.of(server, token), timeout=60.0, connect_timeout=10.0)

    def create(self, name: str, *, algorithm: str, environment: str, **parameters: Any) -> "Experiment":
        """Creates an experiment, which `start` starts; `parameters` as in docs/training.md.

        Raises:
            Untrainable: it could not be trained, with the reason.
            ServerError: the server refused, or could not be reached.
        """
        asked = {"name": name, "algorithm": algorithm, "environment": environment, **parameters}
        return Experiment(self.http, self.http.call("POST", "/experiments/", asked))

    def train(self, name: str, *, algorithm: str, environment: str, **parameters: Any) -> "Experiment":
        """Creates an experiment and starts it; raises as `create`."""
        experiment = self.create(name, algorithm=algorithm, environment=environment, **parameters)
        experiment.start()
        return experiment

    def find(self, experiment_id: str) -> "Experiment":
        """Raises: NotFound: there is none, or it is another account's."""
        return Experiment(self.http, self.http.patiently("GET", f"/experiments/{_safe(experiment_id)}/", seconds=60.0))

    def algorithms(self) -> list[dict[str, Any]]:
        """What can be trained with, with default hyper-parameters."""
        return list(self.http.patiently("GET", "/algorithms/", seconds=60.0))

    def list(self, **filters: str) -> list["Experiment"]:
        """One's experiments; `filters`: status, algorithm, environment, tag, search."""
        query = f"?{urlencode(filters)}" if filters else ""
        rows = self.http.patiently("GET", f"/experiments/{query}", seconds=60.0)
        return [Experiment(self.http, row) for row in rows]

    def close(self) -> None:
        self.http.close()


class Experiment:
    """One training run. `row` is what the server last said of it."""

    def __init__(self, http: Http, row: dict[str, Any]) -> None:
        self.http, self.row = http, row

    def __repr__(self) -> str:
        row = self.row
        return f"<{row['name']}: {row['algorithm']} on {row['environment']}, {row['status']} at {row['timesteps']} timesteps>"

    @property
    def id(self) -> str:
        return str(self.row["id"])

    @property
    def status(self) -> str:
        """created, queued, running, paused, completed, failed or stopped, asked anew."""
        return str(self.refresh()["status"])

    def refresh(self) -> dict[str, Any]:
        """Asks for the row anew."""
        self.row = self.http.patiently("GET", self._path(), seconds=300.0)
        return self.row

    def start(self) -> None:
        """Raises: Conflict, InvalidRequest: it cannot be started now."""
        self.http.call("POST", self._path("train"))
        self.refresh()

    def pause(self) -> None:
        """Keeps all that is needed to go on to the bit; returns when it is paused."""
        self._tell("pause")

    def resume(self) -> None:
        self._tell("resume")

    def stop(self) -> None:
        """Ends it; returns when nothing of it runs any more."""
        self._tell("stop")

    def delete(self) -> None:
        self.http.call("DELETE", self._path())

    def wait(self, *, progress: bool | None = None, timeout: float = math.inf) -> "Experiment":
        """Waits until it has come to rest.

        Args:
            progress: a bar on standard error; None: on a terminal.
            timeout: seconds.

        Raises:
            ServerError: it failed, with the reason, or did not come to rest in time.
        """
        deadline = time.monotonic() + timeout
        shown = Progress(self.row["name"], progress)
        try:
            while (row := self.refresh())["status"] not in AT_REST:
                if time.monotonic() > deadline:
                    raise ServerError(f"the experiment {row['name']} is still {row['status']} after {timeout:g} s")
                shown.note(_bar(row))
                time.sleep(LOOK_SECONDS)
        finally:
            shown.end()
        if self.row["status"] == "failed":
            raise ServerError(f"the experiment {self.row['name']} failed: {self.row['reason']}")
        return self

    def metrics(self, *names: str, points: int | None = None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Curves: name → (timesteps: (n,) int64, values: (n,) float64), of all metrics where none are named.

        Args:
            points: of each curve at most; what is more is told as means of equal parts.
        """
        asked: dict[str, Any] = {"names": ",".join(names)} if names else {}
        if points is not None:
            asked["points"] = points
        told = self.http.patiently("GET", f"{self._path('metrics')}?{urlencode(asked)}", seconds=60.0)
        curves: dict[str, tuple[list[int], list[float]]] = {}
        for point in told["metrics"]:
            for name, value in point.items():
                if name != "timestep":
                    timesteps, values = curves.setdefault(name, ([], []))
                    timesteps.append(point["timestep"])
                    values.append(math.nan if value is None else value)
        return {name: (np.array(at, np.int64), np.array(values)) for name, (at, values) in curves.items()}

    def frame(self, *names: str, points: int | None = None) -> Any:
        """The same as a pandas data frame: a row a timestep, a column a metric. Needs pandas."""
        import pandas

        curves = self.metrics(*names, points=points)
        return pandas.DataFrame({name: pandas.Series(values, at) for name, (at, values) in curves.items()})

    def results(self) -> dict[str, Any]:
        """The final evaluation, and what was kept."""
        return dict(self.http.patiently("GET", self._path("results"), seconds=60.0))

    def keep(self, title: str | None = None) -> "Model":
        """Takes its model into the registry.

        Raises:
            Conflict: it has left none.
        """
        asked = {"experiment_id": self.id} | ({"title": title} if title else {})
        return Model(self.http, self.http.call("POST", "/models/", asked))

    def _path(self, verb: str = "") -> str:
        return f"/experiments/{_safe(self.id)}/" + (f"{verb}/" if verb else "")

    def _tell(self, verb: str) -> None:
        self.http.call("POST", self._path(verb))
        self.refresh()


class Model:
    """A trained model on a server; `card` is what the server says of it."""

    def __init__(self, http: Http, card: dict[str, Any]) -> None:
        self.http, self.card = http, card

    @property
    def id(self) -> str:
        return str(self.card["id"])

    def predict(self, observation: Any, *, deterministic: bool = True) -> Any:
        """The action for one observation, as JSON holds it: a number, or nested lists.

        Raises:
            InvalidRequest: it is no observation of the model's.
        """
        asked = {"observation": _plain(observation), "deterministic": deterministic}
        return self.http.patiently("POST", self._path("predict"), asked, seconds=60.0)["action"]

    def predict_many(self, observations: Any, *, deterministic: bool = True) -> list[Any]:
        """The actions for many observations, in one call."""
        asked = {"observations": [_plain(each) for each in observations], "deterministic": deterministic}
        return list(self.http.patiently("POST", self._path("predict"), asked, seconds=60.0)["actions"])

    def __call__(self, observation: Any) -> Any:
        """As `predict`, so that a model is an agent: `client.submit("challenge", model)`."""
        return self.predict(observation)

    def _path(self, verb: str) -> str:
        return f"/models/{_safe(self.id)}/{verb}"


def _plain(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {name: _plain(part) for name, part in observation.items()}
    return observation.tolist() if isinstance(observation, (np.ndarray, np.generic)) else observation


def _safe(name: str) -> str:
    return quote(name, safe="")


def _bar(row: dict[str, Any]) -> str:
    total = row.get("total_timesteps") or 0
    if not total:
        return str(row["status"])
    part = min(1.0, row["timesteps"] / total)
    filled = round(part * BAR)
    return f"{'█' * filled}{'·' * (BAR - filled)} {part:4.0%}, {row['timesteps']:,} of {total:,} timesteps, {row['status']}"
