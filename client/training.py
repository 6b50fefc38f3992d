"""Experiments and models on a server, from Python.

experiments = client.Experiments("http://127.0.0.1:5000")
run = experiments.train("pole", algorithm="PPO", environment="CartPole-v1", tuned=True)
run.wait()
timesteps, rewards = run.metrics("reward")["reward"]
model = run.keep()
model.predict(observation)
"""

import json
import math
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
from numpy.typing import NDArray

from gymserve.client.transport.address import Address
from gymserve.client.transport.exceptions import ServerError
from gymserve.client.transport.http import Http, Upload
from gymserve.client.transport.patience import Limits
from gymserve.protocol.spaces import jsonable
from gymserve.system.terminal.progress import Progress, bar

ACTIVE = ("queued", "running")
POLL_SECONDS = 0.5
UPLOAD_SECONDS = 300.0  # for which a server may check an uploaded model
PATIENCE = 60.0  # seconds for which a call that changes nothing is repeated while the server is away

Curve = tuple[NDArray[np.int64], NDArray[np.float64]]
"""(timesteps, values), each of shape (n,)."""


class Experiments:
    """A server's experiments.

    Args:
        server, token: as for `client.make`.
    """

    def __init__(self, server: str | None = None, *, token: str | None = None) -> None:
        self.http = Http(Address.of(server, token), Limits(timeout=60.0))

    def create(self, name: str, *, algorithm: str, environment: str, **parameters: Any) -> "Experiment":
        """Creates an experiment without starting it; `parameters` are those of docs/training.md.

        Raises:
            Untrainable: it could not be trained, with the reason.
            ServerError: the server refused, or could not be reached.
        """
        body = {"name": name, "algorithm": algorithm, "environment": environment, **parameters}
        return Experiment(self.http, self.http.call("POST", "/experiments/", body))

    def train(self, name: str, *, algorithm: str, environment: str, **parameters: Any) -> "Experiment":
        """Creates an experiment and starts it; raises what `create` raises."""
        experiment = self.create(name, algorithm=algorithm, environment=environment, **parameters)
        experiment.start()
        return experiment

    def find(self, experiment_id: str) -> "Experiment":
        """The experiment with this id.

        Raises:
            NotFound: the experiment does not exist, or belongs to another account.
        """
        return Experiment(self.http, self.http.call("GET", _experiment_path(experiment_id), patience=PATIENCE))

    def algorithms(self) -> list[dict[str, Any]]:
        """The algorithms that can be trained, with their default hyperparameters."""
        return list(self.http.call("GET", "/algorithms/", patience=PATIENCE))

    def list(self, **filters: str) -> list["Experiment"]:
        """The account's experiments; `filters` are status, algorithm, environment, tag and search."""
        query = f"?{urlencode(filters)}" if filters else ""
        rows = self.http.call("GET", f"/experiments/{query}", patience=PATIENCE)
        return [Experiment(self.http, row) for row in rows]

    def upload(
        self,
        path: str | os.PathLike[str],
        title: str,
        *,
        algorithm: str,
        environment: str,
        progress: bool | None = None,
        **parameters: Any,
    ) -> "Model":
        """Copies a model that was trained elsewhere, a zip that Stable-Baselines3 saved, into the server's registry.

        Args:
            progress: whether to show a bar on standard error; None shows it only on a terminal.
            parameters: those of `POST /models/upload`.

        Raises:
            OSError: the file cannot be read.
            ServerError: the server refused it, with the reason, or could not be reached.
        """
        fields = {"title": title, "algorithm": algorithm, "environment": environment, **parameters}
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
        line, size = Progress(title, progress), Path(path).stat().st_size

        def show(sent: int) -> None:
            if sent < size:
                line.update(f"{bar(sent, size)} {sent / size:4.0%} of {size:,} bytes")
            else:
                line.show("the server checks it")

        http = Http(self.http.address, Limits(timeout=UPLOAD_SECONDS))
        try:
            with open(path, "rb") as file:
                body = Upload(file, size, "application/zip", show)
                return Model(self.http, http.call("POST", f"/models/upload?{urlencode(texts)}", body))
        finally:
            line.end()
            http.close()

    def close(self) -> None:
        """Closes the connections to the server."""
        self.http.close()


class Experiment:
    """One training run; `row` is what the server last said about it."""

    def __init__(self, http: Http, row: dict[str, Any]) -> None:
        self.http = http
        self.row = row

    def __repr__(self) -> str:
        row = self.row
        return f"<{row['name']}: {row['algorithm']} on {row['environment']}, {row['status']} at {row['timesteps']} timesteps>"

    @property
    def id(self) -> str:
        return str(self.row["id"])

    @property
    def status(self) -> str:
        """The server's present status: created, queued, running, paused, completed, failed or stopped."""
        return str(self.refresh()["status"])

    def refresh(self) -> dict[str, Any]:
        """Fetches `row` from the server, and returns it."""
        self.row = self.http.call("GET", self._path(), patience=300.0)
        return self.row

    def start(self) -> None:
        """Starts training.

        Raises:
            Conflict, InvalidRequest: it cannot be started now.
        """
        self._post("train")

    def pause(self) -> None:
        """Pauses training in a state from which it resumes exactly; returns once it is paused."""
        self._post("pause")

    def resume(self) -> None:
        """Resumes training where it was paused."""
        self._post("resume")

    def stop(self) -> None:
        """Ends training; returns once no process of it runs any more."""
        self._post("stop")

    def delete(self) -> None:
        """Deletes the experiment with all its files."""
        self.http.call("DELETE", self._path())

    def wait(self, *, progress: bool | None = None, timeout: float = math.inf) -> "Experiment":
        """Waits until the experiment is neither queued nor running.

        Args:
            progress: whether to show a bar on standard error; None shows it only on a terminal.
            timeout: seconds.

        Raises:
            ServerError: it failed, with the reason, or is still queued or running after `timeout`.
        """
        deadline = time.monotonic() + timeout
        line = Progress(self.row["name"], progress)
        try:
            while (row := self.refresh())["status"] in ACTIVE:
                if time.monotonic() > deadline:
                    raise ServerError(f"the experiment {row['name']} is still {row['status']} after {timeout:g} s")
                line.show(_bar(row))
                time.sleep(POLL_SECONDS)
        finally:
            line.end()
        if self.row["status"] == "failed":
            raise ServerError(f"the experiment {self.row['name']} failed: {self.row['reason']}")
        return self

    def metrics(self, *names: str, points: int | None = None) -> dict[str, Curve]:
        """The curves of the metrics with these names, or of all.

        Args:
            points: the most that a curve has; a longer one is shortened to the means of equal parts.
        """
        params = {"names": ",".join(names)} if names else {}
        if points is not None:
            params["points"] = str(points)
        payload = self.http.call("GET", f"{self._path('metrics')}?{urlencode(params)}", patience=PATIENCE)
        curves: dict[str, tuple[list[int], list[float]]] = {}
        for point in payload["metrics"]:
            for name, value in point.items():
                if name != "timestep":
                    timesteps, values = curves.setdefault(name, ([], []))
                    timesteps.append(point["timestep"])
                    values.append(math.nan if value is None else value)
        return {name: (np.array(at, np.int64), np.array(values)) for name, (at, values) in curves.items()}

    def frame(self, *names: str, points: int | None = None) -> Any:
        """The curves of `metrics` as a pandas data frame, with a row per timestep and a column per metric."""
        import pandas

        curves = self.metrics(*names, points=points)
        return pandas.DataFrame({name: pandas.Series(values, at) for name, (at, values) in curves.items()})

    def results(self) -> dict[str, Any]:
        """The final evaluation, and the files that were kept."""
        return dict(self.http.call("GET", self._path("results"), patience=PATIENCE))

    def keep(self, title: str | None = None) -> "Model":
        """Saves the trained model in the registry, as `title` if there is one.

        Raises:
            Conflict: there is no trained model.
        """
        body = {"experiment_id": self.id} | ({"title": title} if title else {})
        return Model(self.http, self.http.call("POST", "/models/", body))

    def _path(self, verb: str = "") -> str:
        return _experiment_path(self.id) + (f"{verb}/" if verb else "")

    def _post(self, verb: str) -> None:
        self.http.call("POST", self._path(verb))
        self.refresh()


class Model:
    """A trained model on a server; `card` is what the server says about it."""

    def __init__(self, http: Http, card: dict[str, Any]) -> None:
        self.http = http
        self.card = card

    @property
    def id(self) -> str:
        return str(self.card["id"])

    def predict(self, observation: Any, *, deterministic: bool = True) -> Any:
        """The action for one observation, as JSON represents it: a number, or nested lists.

        Raises:
            InvalidRequest: the observation is not in the model's space.
        """
        return self._predict({"observation": jsonable(observation), "deterministic": deterministic})["action"]

    def predict_many(self, observations: Any, *, deterministic: bool = True) -> list[Any]:
        """The actions for many observations, in one call."""
        body = {"observations": [jsonable(each) for each in observations], "deterministic": deterministic}
        return list(self._predict(body)["actions"])

    def __call__(self, observation: Any) -> Any:
        """`predict`, so that a model is an agent: `client.submit("challenge", model)`."""
        return self.predict(observation)

    def _predict(self, body: dict[str, object]) -> dict[str, Any]:
        return dict(self.http.call("POST", f"/models/{quote(self.id, safe='')}/predict", body, patience=PATIENCE))


def _experiment_path(experiment_id: str) -> str:
    return f"/experiments/{quote(experiment_id, safe='')}/"


def _bar(row: dict[str, Any]) -> str:
    total = row.get("total_timesteps") or 0
    if not total:
        return str(row["status"])
    done = row["timesteps"]
    return f"{bar(done, total)} {min(1.0, done / total):4.0%}, {done:,} of {total:,} timesteps, {row['status']}"
