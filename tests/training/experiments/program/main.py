"""A small program like PTF: its command line, its folders, one line per episode, and its file of lists."""

import ast
import json
import signal
import sys
import time
from optparse import OptionParser
from pathlib import Path


def main() -> None:
    parser = OptionParser()
    for flag in "acgdnesot":
        parser.add_option(f"-{flag}", dest=flag)
    flags, others = parser.parse_args()
    options = dict(each.split("=") for each in others)
    assert flags.a in ("ptf_a3c", "ptf_ppo") and flags.c == f"{flags.a}_conf", flags
    assert flags.g in ("grid", "pinball") and flags.d == f"{flags.g}_conf", flags
    own = {"task"} if flags.g == "grid" else {
        "source_policy", "continuous_action", "configuration", "target_position", "sequential_state", "reward_normalize",
    }  # fmt: skip
    assert set(options) == {"option_model_path", "save_per_episodes", *own}, options
    assert all(policy.startswith("source_policies/") for policy in options["option_model_path"].strip("[]").split(","))
    results = Path("results") / f"{flags.a}_{flags.g}" / time.strftime("%Y-%m-%d_%H-%M-%S")
    for name in ("model", "graph", "output", "log"):
        (results / name).mkdir(parents=True)
    (results / "command.txt").write_text(" ".join(sys.argv[1:]))
    series: dict[str, list[object]] = {
        name: []
        for name in (
            "win", "step", "epsilon", "discounted_reward", "discount_reward_mean", "undiscounted_reward", "reward_mean",
            "episode",
        )
    }  # fmt: skip
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only PTF's main thread would get it, and the others continue
    often = int(options["save_per_episodes"])
    for episode in range(int(flags.n) + 1):  # one more than requested, as PTF does
        reward = episode * ast.literal_eval(flags.s)
        values = (str(episode == 2), int(flags.e), 0.0, reward * 0.99, reward * 0.99, reward, float(reward), episode)
        for name, value in zip(series, values, strict=True):
            series[name].append(value)
            print(name, f": {value}, ", end=" ")
        print()
        if (episode + 1) % often == 1:
            (results / "output" / "out.json").write_text(json.dumps(series))
        time.sleep(0.005)
    (results / "output" / "out.json").write_text(json.dumps(series))


if __name__ == "__main__":
    main()
