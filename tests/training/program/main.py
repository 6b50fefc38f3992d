"""A small program in PTF's manner: its command line, a line for each episode, and its file of lists over episodes."""

import json
import sys
from pathlib import Path


def main() -> None:
    flags = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    assert (
        flags["-a"] in ("ptf_a3c", "ptf_ppo") and flags["-g"] in ("grid", "pinball") and {"-c", "-d", "-n"} < set(flags)
    )
    told: dict[str, list[float]] = {"episode": [], "reward": []}
    Path("output").mkdir()
    for episode in range(1, int(flags["-e"]) + 1):
        told["episode"].append(episode)
        told["reward"].append(episode * int(flags["-s"]))
        print("episode", episode, flush=True)
        Path("output/out.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
