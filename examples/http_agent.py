"""A random agent that needs nothing but Python's standard library: python examples/http_agent.py [server] [environment]"""

import http.client
import json
import sys
from typing import Any
from urllib.parse import urlsplit

server = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:5000"
env_id = sys.argv[2] if len(sys.argv) > 2 else "CartPole-v1"

connection = http.client.HTTPConnection(
    urlsplit(server).netloc, timeout=60
)  # one connection for all requests is fastest


def call(method: str, path: str, body: Any = None) -> Any:
    """The response to a request; both are JSON."""
    connection.request(method, f"/v1/envs/{path}", json.dumps(body or {}), {"Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    payload: Any = json.loads(text) if text else None
    if response.status >= 400:
        sys.exit(f"{response.status}: {payload['message']}")
    return payload


instance = call("POST", "", {"env_id": env_id})["instance_id"]
try:
    observation = call("POST", f"{instance}/reset/", {"seed": 0})["observation"]
    total, steps, done = 0.0, 0, False
    while not done:
        action = call("GET", f"{instance}/action_space/sample")["action"]
        steps += 1
        # With `seq`, the number of the step, a request that is sent again is not stepped twice.
        answer = call("POST", f"{instance}/step/", {"action": action, "seq": steps})
        observation, total, done = answer["observation"], total + answer["reward"], answer["done"]
finally:
    call("POST", f"{instance}/close/")
print(f"return {total:g} after {steps} steps")
