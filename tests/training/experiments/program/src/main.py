"""A small program like PyMARL: its command line, sacred's files and heartbeat, and PyMARL's way of ending."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

RESULTS = Path(os.path.abspath(__file__)).parent.parent / "results" / "sacred"


def main() -> None:
    start = sys.argv.index("with")
    flags = dict(argument[2:].split("=") for argument in sys.argv[1:start] if argument.startswith("--"))
    values = dict(argument.split("=") for argument in sys.argv[start + 1 :])
    beat = float(sys.argv[sys.argv.index("-b") + 1]) if "-b" in sys.argv[:start] else 10.0
    run = RESULTS / "1"
    run.mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({**flags, **values}))
    state(run, "RUNNING")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(15))  # sacred writes nothing in that case
    info: dict[str, list] = {}
    over = threading.Event()

    def write_regularly() -> None:
        while not over.wait(beat):
            write(run / "info.json", info)

    heartbeat = threading.Thread(target=write_regularly)
    heartbeat.start()
    try:
        for step in range(1, int(values.get("t_max", "10")) + 1):
            for name, value in (("return_mean", step / 2), ("epsilon", {"py/object": "numpy.float64", "value": 0.5})):
                info.setdefault(name, []).append(value)
                info.setdefault(f"{name}_T", []).append(step * 100)
            time.sleep(0.01)
    except KeyboardInterrupt:
        over.set()
        heartbeat.join()
        write(run / "info.json", info)
        state(run, "INTERRUPTED")
        sys.exit(1)
    if flags["config"] == "broken":
        over.set()
        print("Traceback", "ValueError: no such mixer", sep="\n", file=sys.stderr, flush=True)
        sys.exit(3)
    heartbeat.join(timeout=1)
    os._exit(0)  # before sacred writes once more; its state remains RUNNING


def write(path: Path, info: dict) -> None:
    """Write in place, in two halves, as sacred does."""
    text = json.dumps(dict(info))
    with open(path, "w") as file:
        file.write(text[: len(text) // 2])
        file.flush()
        file.write(text[len(text) // 2 :])


def state(run: Path, status: str) -> None:
    (run / "run.json").write_text(json.dumps({"status": status}))


if __name__ == "__main__":
    main()
