"""The client of openai/gym-http-api, by its names, so that its scripts run with one import changed:

`import client as gym_http_client`, and then `gym_http_client.Client("http://127.0.0.1:5000")` as ever.
"""

import logging
import os
from typing import Any
from urllib.parse import urljoin

import requests

from client.exceptions import named
from gymserve import wire
from gymserve.spaces import jsonable

logger = logging.getLogger(__name__)


class Client:
    """One server; every method is one HTTP request.

    Raises, from every method:
        ServerError: the server refused, and said why.
        requests.RequestException: it could not be reached, or answered something else.
    """

    TIMEOUT = (10.0, 120.0)
    """Seconds for the connection, and for the answer."""

    def __init__(self, remote_base: str) -> None:
        self.remote_base = remote_base
        self.session = requests.Session()
        self.session.headers.update({"Content-type": "application/json"})
        if token := os.environ.get("GYMSERVE_TOKEN"):
            self.session.headers["Authorization"] = f"Bearer {token}"

    def env_create(self, env_id: str) -> str:
        return self._post("/v1/envs/", {"env_id": env_id})["instance_id"]  # type: ignore[no-any-return]

    def env_list_all(self) -> dict[str, str]:
        return self._get("/v1/envs/")["all_envs"]  # type: ignore[no-any-return]

    def env_reset(self, instance_id: str) -> Any:
        return self._post(f"/v1/envs/{instance_id}/reset/", None)["observation"]

    def env_step(self, instance_id: str, action: Any, render: bool = False) -> list[Any]:
        """[observation, reward, done, info]."""
        told = self._post(f"/v1/envs/{instance_id}/step/", {"action": action, "render": render})
        return [told["observation"], told["reward"], told["done"], told["info"]]

    def env_action_space_info(self, instance_id: str) -> dict[str, Any]:
        return self._get(f"/v1/envs/{instance_id}/action_space/")["info"]  # type: ignore[no-any-return]

    def env_action_space_sample(self, instance_id: str) -> Any:
        return self._get(f"/v1/envs/{instance_id}/action_space/sample")["action"]

    def env_action_space_contains(self, instance_id: str, x: Any) -> bool:
        return self._get(f"/v1/envs/{instance_id}/action_space/contains/{x}")["member"]  # type: ignore[no-any-return]

    def env_observation_space_info(self, instance_id: str) -> dict[str, Any]:
        return self._get(f"/v1/envs/{instance_id}/observation_space/")["info"]  # type: ignore[no-any-return]

    def env_observation_space_contains(self, instance_id: str, params: Any) -> bool:
        told = self._post(f"/v1/envs/{instance_id}/observation_space/contains", params)
        return told["member"]  # type: ignore[no-any-return]

    def env_monitor_start(
        self,
        instance_id: str,
        directory: str,
        force: bool = False,
        resume: bool = False,
        video_callable: Any = False,
    ) -> None:
        data = {"directory": directory, "force": force, "resume": resume, "video_callable": video_callable}
        self._post(f"/v1/envs/{instance_id}/monitor/start/", data)

    def env_monitor_close(self, instance_id: str) -> None:
        self._post(f"/v1/envs/{instance_id}/monitor/close/", None)

    def env_close(self, instance_id: str) -> None:
        self._post(f"/v1/envs/{instance_id}/close/", None)

    def upload(self, training_dir: str, algorithm_id: str | None = None, api_key: str | None = None) -> None:
        """Keeps a monitored run's results; the key comes from $OPENAI_GYM_API_KEY where it is not given."""
        key = api_key or os.environ.get("OPENAI_GYM_API_KEY")
        self._post("/v1/upload/", {"training_dir": training_dir, "algorithm_id": algorithm_id, "api_key": key})

    def shutdown_server(self) -> None:
        self._post("/v1/shutdown/", None)

    def _post(self, route: str, data: Any) -> Any:
        url, body = urljoin(self.remote_base, route), wire.write_json(jsonable(data))
        logger.info("POST %s\n%s", url, body.decode())
        return self._read(self.session.post(url, data=body, timeout=self.TIMEOUT))

    def _get(self, route: str) -> Any:
        url = urljoin(self.remote_base, route)
        logger.info("GET %s", url)
        return self._read(self.session.get(url, timeout=self.TIMEOUT))

    def _read(self, answer: requests.Response) -> Any:
        told: Any = {}
        if answer.headers.get("Content-Type", "").startswith("application/json"):
            try:
                told = answer.json()
            except ValueError:
                logger.warning("the server's answer is no JSON: %.200s", answer.text)
        if answer.status_code != 200 and "message" in told:
            raise named(str(told.get("error", "")), told["message"], answer.status_code, told.get("retry_after"))
        answer.raise_for_status()
        return told
