"""Measures the cost of accounts: the same load on an open server and on one with `AUTH = "token"`, in alternation.

python -m benchmarks.accounts [rounds]
"""

import http.client
import json
import statistics
import sys
import time
from pathlib import Path

from benchmarks import load
from benchmarks.processes import Server, server
from gymserve.accounts import Accounts, AccountSettings
from gymserve.accounts.audit import COMMAND_LINE
from gymserve.settings import Settings


def over_http(running: Server, seconds: float) -> float:
    """Steps per second of one agent over HTTP on one connection."""
    path = f"/v1/envs/{running.create('CartPole-v1')}"
    connection = http.client.HTTPConnection("127.0.0.1", running.port)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {running.key}"} if running.key else {})

    def post(action: str, body: str) -> dict[str, object]:
        connection.request("POST", f"{path}/{action}/", body, headers)
        return dict(json.loads(connection.getresponse().read() or b"{}"))

    post("reset", "{}")
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        count += 1
        if post("step", '{"action": 1}')["done"]:
            post("reset", "{}")
    elapsed = time.perf_counter() - began
    post("close", "{}")
    connection.close()
    return count / elapsed


def main(rounds: int) -> None:
    """Prints each load's figures, and their ratio."""
    limits = {"AUTH": "token", "ACCOUNT_INSTANCES": 10_000, "ACCOUNT_STREAMS": 10_000, "REQUESTS_PER_MINUTE": 0}
    with server() as without, server(**limits) as with_accounts:
        accounts = Accounts(Settings(DATA=str(Path(with_accounts.data))).pick(AccountSettings))
        account = accounts.directory.create("benchmark", "not a secret", by=COMMAND_LINE)
        _, with_accounts.key = accounts.keys.create(account.id, "benchmark", by=COMMAND_LINE)
        accounts.database.close()
        rates: dict[str, list[list[float]]] = {"HTTP, one agent": [[], []], "streams, 256 agents": [[], []]}
        for _ in range(rounds):
            for index, running in enumerate((without, with_accounts)):
                rates["HTTP, one agent"][index].append(over_http(running, 1.0))
                rates["streams, 256 agents"][index].append(load.agents(running, 256, 2.0)[0])
    for name, (plain, authenticated) in rates.items():
        ratios = [one / other for one, other in zip(authenticated, plain, strict=True)]
        medians = statistics.median(plain), statistics.median(authenticated)
        print(
            f"{name}: open {medians[0]:,.0f} steps/s, with accounts {medians[1]:,.0f}; "
            f"ratio {medians[1] / medians[0]:.3f} (rounds {min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
