"""`python -m benchmarks [--quick]`: measures, prints a table, and writes the figures in docs/measurements/performance.md."""

import argparse
import functools
import os
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from benchmarks import ROOT, load, steps
from benchmarks.processes import Server, server
from benchmarks.rivals import peers as rivals

DOCS = ROOT / "docs"
WAYS: dict[str, Callable[[Server], Any]] = {
    "stream, bare socket": steps.raw_stream,
    "stream, `client.make`": steps.python_client,
    "HTTP, bare socket": steps.raw_http,
    "HTTP, `client.Client`": steps.old_client,
    "HTTP, `requests`": steps.with_requests,
}
STEPPED = "TCP echo that steps"
PEERS = {"OpenEnv": rivals.openenv, "dm-env-rpc": rivals.dm_env_rpc}
TARGETS = {"stream, bare socket": (0.55, 0.75), "HTTP, bare socket": (0.11, 0.35)}


def one_agent(running: Server, seconds: float, rounds: int) -> list[list[str]]:
    """Rows of µs per step and of speeds relative to the echo, on one core and on two."""
    times: dict[str, list[list[float]]] = {}
    for place, cpu in enumerate((0, 1)):
        os.sched_setaffinity(0, {0})
        with ExitStack() as peers:
            measures: dict[str, Callable[[float], float]] = {}
            for name, peer in PEERS.items():  # first, since streams would time out while they are installed
                try:
                    measures[name] = peers.enter_context(peer(cpu))
                except ImportError as error:
                    print(f"{error}: left out")
            running.pin(cpu)
            ways = {name: make(running) for name, make in WAYS.items()}
            running.pin(cpu)  # includes the host that was just started
            ways["local, no network"] = steps.local()
            try:
                ways["Ray actor"] = rivals.ray_actor(cpu)
            except ImportError:
                print("ray is not installed: left out")
            ways["TCP echo"] = (peers.enter_context(steps.echo(cpu)), lambda: None)
            ways[STEPPED] = (peers.enter_context(steps.echo(cpu, reply=steps.stepping_reply())), lambda: None)
            measures |= {
                name: functools.partial(steps.time_per_step, ask, reset) for name, (ask, reset) in ways.items()
            }
            for _ in range(rounds):
                for name, measure in measures.items():
                    took = measure(seconds)
                    times.setdefault(name, [[], []])[place].append(took)
                    print(f"{('one core', 'two cores')[place]:10} {name:24} {took:8.1f} µs", flush=True)
    running.free()
    load.free_cores()
    echoes = [statistics.median(each) for each in times["TCP echo"]]
    rows = []
    for name in ("TCP echo", "local, no network", STEPPED, *WAYS, "Ray actor", *PEERS):
        if name in times:
            cells = [name]
            for place in range(2):
                took = statistics.median(times[name][place])
                cells += [
                    f"{took:.1f}",
                    f"{echoes[place] / took:.2f}",
                    f"{TARGETS[name][place]}" if name in TARGETS else "",
                ]
            rows.append(cells)
    return rows


def many(running: Server, seconds: float, count: int) -> list[list[str]]:
    """Rows of (measurement, figure, target)."""
    rows = []

    def row(what: str, figure: str, target: str) -> None:
        print(f"{what:60} {figure}", flush=True)
        rows.append([what, figure, target])

    for num_envs, mode, target in ((64, "sync", "≥ 0.8"), (1024, "vector_entry_point", "≥ 0.6")):
        remote, local = load.vector(running, num_envs, mode, seconds)
        figure = f"{remote / local:.2f} ({remote / 1e3:,.0f} k/s of {local / 1e3:,.0f} k/s)"
        row(f"vector stream, {num_envs} CartPoles ({mode}), of local", figure, target)
    ask, close = rivals.async_vector(64)
    row(
        "local AsyncVectorEnv of 64, env-steps/s",
        f"{64e6 / steps.time_per_step(ask, lambda: None, seconds) / 1e3:,.0f} k",
        "",
    )
    close()
    remote, limit = load.slow_vector(running, 8, seconds)
    row(
        "8 copies (async) with steps of 20 ms, of 8 local processes",
        f"{remote / limit:.2f} ({remote:.0f}/s of {limit:.0f}/s)",
        "≥ 0.95",
    )
    rate, median, p99 = load.agents(running, 256, 4 * seconds)
    row("256 agents on streams, steps/s", f"{rate / 1e3:,.1f} k", "≥ 50 k")
    row("… median and 99th percentile of a step", f"{median:.1f} ms, {p99:.1f} ms", "p99 ≤ 12 ms")
    for number in (64, 256):
        rate, median, p99 = load.agents(running, number, 4 * seconds, load.HttpAgent)
        row(f"{number} agents on HTTP, keep-alive, steps/s", f"{rate / 1e3:,.1f} k", "")
        row("… median and 99th percentile of a step", f"{median:.1f} ms, {p99:.1f} ms", "p99 ≤ 30 ms")
    pictures(running, seconds, row)
    row("a dedicated host, until its instance is there", f"{load.dedicated(running):.0f} ms", "< 150 ms")
    lives, acts = load.lives(running, 1000, 32)
    figure = f"{lives:.0f}/s, with {acts / 1e3:.1f} k steps/s"
    row("1,000 environments created, used for an episode and closed by 32 agents", figure, "")
    memory, created, cycles = load.instances(running, count)
    row(f"{count:,} idle CartPoles, with the server", f"{memory:.0f} MB", "< 1 GiB (10,000)")
    row("created; created and closed", f"{created:.0f}/s; {cycles:.0f}/s", "≥ 300/s")
    return rows


def pictures(running: Server, seconds: float, row: Callable[[str, str, str], None]) -> None:
    """Rows of the time of a step that returns a picture, relative to the time of echoing its bytes."""
    ways = {
        "": steps.raw_stream(running, "Pictures-v0"),
        " over HTTP, as msgpack": steps.http_pictures(running, "application/msgpack"),
        " over HTTP, as JSON": steps.http_pictures(running, "application/json"),
    }
    with steps.echo(1, 210 * 160 * 3) as ask:
        ways["echo"] = ask, lambda: None
        rounds = [[steps.time_per_step(*way, seconds) for way in ways.values()] for _ in range(3)]
    *times, plain = (statistics.median(each) for each in zip(*rounds, strict=True))
    for way, ours in zip(ways, times, strict=False):
        figure = f"{ours / plain:.2f} ({ours:.0f} µs of {plain:.0f} µs)"
        row(f"210×160×3 observation{way}, of echoing its bytes", figure, "≤ 2" if "JSON" not in way else "")


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def plot(rows: list[list[str]]) -> None:
    """Plots the speeds relative to the echo as bars."""
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: the plot stays as it was")
        return
    matplotlib.use("svg")
    from matplotlib import pyplot

    names = [row[0].replace("`", "") for row in rows if row[0] not in ("TCP echo", "local, no network")]
    values = [[float(row[2]), float(row[5])] for row in rows if row[0] not in ("TCP echo", "local, no network")]
    figure, axes = pyplot.subplots(figsize=(8, 3.2))
    for place, (label, colour) in enumerate((("one core", "#7f8c8d"), ("two cores", "#2471a3"))):
        positions = [index + 0.2 - 0.4 * place for index in range(len(names))]
        axes.barh(positions, [value[place] for value in values], 0.38, label=label, color=colour)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("speed of a step, of a TCP echo's")
    axes.legend()
    figure.tight_layout()
    figure.savefig(DOCS / "measurements" / "performance.svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute instead of five; writes nothing")
    quick = parser.parse_args().quick
    began = time.monotonic()
    with server(MAX_INSTANCES=20_000) as running:
        first = one_agent(running, 0.3 if quick else 1.0, 2 if quick else 7)
        second = many(running, 0.3 if quick else 2.0, 1000 if quick else 10_000)
    head = ["way", "one core, µs", "of echo", "target", "two cores, µs", "of echo", "target"]
    text = f"{table(head, first)}\n\n{table(['what', 'figure', 'target'], second)}\n"
    print(f"\n{text}\n{time.monotonic() - began:.0f} s")
    if not quick:
        page = DOCS / "measurements" / "performance.md"
        before, _, rest = page.read_text().partition("<!-- figures -->\n")
        _, _, after = rest.partition("<!-- end of figures -->\n")
        page.write_text(f"{before}<!-- figures -->\n{text}<!-- end of figures -->\n{after}")
        plot(first)


if __name__ == "__main__":
    main()
