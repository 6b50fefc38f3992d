"""Measures the latency of a leaderboard of 100,000 submissions over HTTP, with and without changes.

python -m benchmarks.leaderboard [entrants]
"""

import datetime
import random
import statistics
import sys
import threading
import time
from pathlib import Path

import urllib3
from sqlalchemy import insert, update

from benchmarks.processes import server
from gymserve.grader.server.competitions.competition import Competition
from gymserve.store import connect
from gymserve.store.models import Submission, now

NUMBER, SECONDS = 100_000, 10.0
TOML = 'name = "big"\nenvironment = "CartPole-v1"\n[scoring]\nworst = 0\n'


def fill(data: Path, entrants: int) -> None:
    database = connect("", data)
    challenge = Competition(database, data).define(TOML, owner_id=None)
    draw, then = random.Random(1), now() - datetime.timedelta(days=1)
    rows = [
        {
            "name": f"s{number}", "challenge_id": challenge.id, "version_id": challenge.version_id, "phase": "public",
            "entrant": f"entrant {draw.randrange(entrants)}", "state": "graded", "score": draw.gauss(100.0, 20.0), "reason": "",
            "counts": True, "steps": 1, "trials": "[]", "verdict": "verified", "verdict_reason": "", "receipt": "",
            "left": True, "created_at": then, "finished_at": then,
            "changed_at": then + number * datetime.timedelta(milliseconds=1),
        }
        for number in range(NUMBER)
    ]  # fmt: skip
    with database.writing() as session:
        session.execute(insert(Submission), rows)
    database.close()


def change(data: Path, stop: threading.Event) -> None:
    """Grades another submission every tenth of a second."""
    database = connect("", data)
    draw = random.Random(2)
    while not stop.wait(0.1):
        with database.writing() as session:
            chosen = Submission.name == f"s{draw.randrange(NUMBER)}"
            session.execute(update(Submission).where(chosen).values(score=draw.gauss(100.0, 20.0), changed_at=now()))
    database.close()


def ask(url: str) -> list[float]:
    """Requests the leaderboard repeatedly; returns the milliseconds of each request."""
    pool, times, began = urllib3.PoolManager(), [], time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        sent = time.perf_counter()
        answer = pool.request("GET", f"{url}/challenges/big/leaderboard?limit=100")
        times.append((time.perf_counter() - sent) * 1e3)
        assert answer.status == 200 and len(answer.json()["places"]) == 100
    return times


def main() -> None:
    entrants = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with server() as running:
        fill(Path(running.data), entrants)
        began = time.perf_counter()
        ask_once = ask(running.url)
        print(f"{NUMBER:,} submissions of {entrants:,} entrants; the first answers took up to {max(ask_once):.0f} ms")
        for name, changes in (("nothing changes", False), ("ten change a second", True)):
            stop = threading.Event()
            thread = threading.Thread(target=change, args=(Path(running.data), stop))
            if changes:
                thread.start()
            times = ask(running.url)
            stop.set()
            if changes:
                thread.join()
            worst = statistics.quantiles(times, n=100)[98]
            print(f"{name}: median {statistics.median(times):.1f} ms, p99 {worst:.1f} ms of {len(times)} answers")
        print(f"({time.perf_counter() - began:.0f} s)")


if __name__ == "__main__":
    main()
