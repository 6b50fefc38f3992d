"""The client of openai/gym-http-api under its own names, so that its scripts run with one import changed:

`from gymserve import client as gym_http_client`, and then `gym_http_client.Client("http://127.0.0.1:5000")` as ever.
"""

import logging
import os
from typing import Any
from urllib.parse import quote

from gymserve.client.transport.address import Address
from gymserve.client.transport.http import Http
from gymserve.client.transport.patience import Limits
from gymserve.protocol import wire
from gymserve.protocol.spaces import jsonable

logger = logging.getLogger(__name__)


class Client:
    """One server; every method is one HTTP request.

    Every method raises ServerError if the server refuses, with its reason, or cannot be reached.
    """

    def __init__(self, remote_base: str) -> None:
        self.remote_base = remote_base
        self._http = Http(Address.of(remote_base), Limits())

    def env_create(self, env_id: str) -> str:
        return str(self._post("/v1/envs/", {"env_id": env_id})["instance_id"])

    def env_list_all(self) -> dict[str, str]:
        return dict(self._get("/v1/envs/")["all_envs"])

    def env_reset(self, instance_id: str) -> Any:
        return self._post(f"/v1/envs/{instance_id}/reset/", None)["observation"]

    def env_step(self, instance_id: str, action: object, render: bool = False) -> list[Any]:
        """[observation, reward, done, info]."""
        result = self._send(
            f"/v1/envs/{instance_id}/step/", {"action": _numbers(jsonable(action)), "render": bool(render)}
        )
        return [result["observation"], result["reward"], result["done"], result["info"]]

    def env_action_space_info(self, instance_id: str) -> dict[str, Any]:
        return dict(self._get(f"/v1/envs/{instance_id}/action_space/")["info"])

    def env_action_space_sample(self, instance_id: str) -> Any:
        return self._get(f"/v1/envs/{instance_id}/action_space/sample")["action"]

    def env_action_space_contains(self, instance_id: str, x: object) -> bool:
        return bool(self._get(f"/v1/envs/{instance_id}/action_space/contains/{quote(str(x))}")["member"])

    def env_observation_space_info(self, instance_id: str) -> dict[str, Any]:
        return dict(self._get(f"/v1/envs/{instance_id}/observation_space/")["info"])

    def env_observation_space_contains(self, instance_id: str, params: object) -> bool:
        return bool(self._post(f"/v1/envs/{instance_id}/observation_space/contains", params)["member"])

    def env_monitor_start(
        self,
        instance_id: str,
        directory: str,
        force: bool = False,
        resume: bool = False,
        video_callable: object = False,
    ) -> None:
        data = {"directory": directory, "force": force, "resume": resume, "video_callable": video_callable}
        self._post(f"/v1/envs/{instance_id}/monitor/start/", data)

    def env_monitor_close(self, instance_id: str) -> None:
        self._post(f"/v1/envs/{instance_id}/monitor/close/", None)

    def env_close(self, instance_id: str) -> None:
        self._post(f"/v1/envs/{instance_id}/close/", None)

    def upload(self, training_dir: str, algorithm_id: str | None = None, api_key: str | None = None) -> None:
        """Uploads a monitored run's results; the key defaults to $OPENAI_GYM_API_KEY."""
        key = api_key or os.environ.get("OPENAI_GYM_API_KEY")
        self._post("/v1/upload/", {"training_dir": training_dir, "algorithm_id": algorithm_id, "api_key": key})

    def shutdown_server(self) -> None:
        self._post("/v1/shutdown/", None)

    def _post(self, route: str, data: object) -> Any:
        return self._send(route, jsonable(data))

    def _send(self, route: str, body: object) -> Any:
        if logger.isEnabledFor(logging.INFO):
            logger.info("POST %s%s\n%s", self._http.address, route, wire.write_json(body).decode())
        return self._http.call("POST", route, body)

    def _get(self, route: str) -> Any:
        logger.info("GET %s%s", self._http.address, route)
        return self._http.call("GET", route)


def _numbers(action: object) -> Any:
    """An action with 1 and 0 for booleans: Gymnasium's spaces accept these, but the server refuses them in JSON."""
    if isinstance(action, dict):
        return {name: _numbers(part) for name, part in action.items()}
    if isinstance(action, list):
        return [_numbers(part) for part in action]
    return int(action) if isinstance(action, bool) else action
