"""What can be made of journals: videos, data sets, statistics.

python -m gymserve.recording video JOURNAL -o run.webm
python -m gymserve.recording export JOURNAL… --dataset cartpole/mine-v0
python -m gymserve.recording statistics JOURNAL…

A journal is a file, the folder of its instance, or a submission's bundle.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from gymserve.system import imports, interpreters

if __name__ == "__main__":
    interpreters.become_alike()  # before anything else is imported
from gymserve.environments import Catalogue
from gymserve.journal import episodes_of, recipe_of
from gymserve.protocol.errors import GymserveError, InvalidRequest
from gymserve.recording import export, statistics
from gymserve.recording.video import encoding, rendering
from gymserve.recording.video.episodes import records_of
from gymserve.system.progress import Progress, bar

ENDINGS = (*encoding.CODECS, ".gif")


def main(arguments: list[str] | None = None) -> int:
    """0: done; 2: it cannot be done, for the reason that is printed."""
    imports.freeze()
    asked = _parser().parse_args(arguments)
    sys.path.insert(0, "")
    try:
        _COMMANDS[asked.command](asked)
    except (GymserveError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gymserve.recording",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    modules = argparse.ArgumentParser(add_help=False)  # before the command or behind it
    told = "modules, with commas, that register environments"
    modules.add_argument("--modules", default=argparse.SUPPRESS, help=told)
    parser.add_argument("--modules", default="", help=told)
    commands = parser.add_subparsers(dest="command", required=True)
    video = commands.add_parser("video", parents=[modules], help="replay a journal's episodes into a video")
    video.add_argument("journal", type=Path)
    video.add_argument("-o", "--output", type=Path, required=True, help=f"a file that ends in {', '.join(ENDINGS)}")
    video.add_argument("--episode", type=int, action="append", help="only this one, from 1; may be given several times")
    video.add_argument("--seconds", type=float, default=60.0, help="of the video at most (60)")
    video.add_argument("--title", help="stands below the pictures (the environment's id)")
    dataset = commands.add_parser("export", parents=[modules], help="make a Minari data set of journals' episodes")
    dataset.add_argument("journal", type=Path, nargs="+")
    dataset.add_argument("--dataset", required=True, help="its name, such as cartpole/mine-v0")
    dataset.add_argument("--algorithm", help="noted in the data set: who acted")
    dataset.add_argument("--author", help="noted in the data set")
    dataset.add_argument("--description", help="noted in the data set")
    numbers = commands.add_parser(
        "statistics", parents=[modules], help="tell journals' episodes: lengths, returns, speed"
    )
    numbers.add_argument("journal", type=Path, nargs="+")
    numbers.add_argument("--json", action="store_true", help="for programs")
    return parser


def _video(asked: argparse.Namespace) -> None:
    if asked.output.suffix not in ENDINGS:
        raise InvalidRequest(f"{asked.output} must end in {', '.join(ENDINGS)}")
    if not asked.seconds > 0:
        raise InvalidRequest(f"--seconds must be positive, not {asked.seconds:g}")
    records = records_of(asked.journal)
    recipe = recipe_of(records)
    episodes = [episode for episode in episodes_of(records) if episode.steps]
    wanted = asked.episode or [episode.number for episode in episodes]
    for number in wanted:
        if number not in [episode.number for episode in episodes]:
            raise InvalidRequest(f"{asked.journal} has no episode {number} with a step: it has {len(episodes)}")
    reel = rendering.Film(
        asked.title or recipe.env_id,
        [episode for episode in episodes if episode.number in wanted],
        "trial" if recipe.is_graded else "episode",
        len(recipe.trials) or None,
        asked.seconds,
        float("inf"),
    )
    name = rendering.GIF if asked.output.suffix == ".gif" else f"film{asked.output.suffix}"
    with tempfile.TemporaryDirectory() as scratch:
        about = rendering.shoot(reel, _catalogue(asked), Path(scratch), [name], progress=_progress("frame"))
        shutil.move(Path(scratch) / name, asked.output)
    print(
        f"{asked.output}: {about['frames']} frames, {about['seconds']:g} s at {about['speed']} times the speed, "
        f"{len(about['shown'])} of {about['episodes']} episodes" + ("" if about["complete"] else ", not to the end")
    )
    if not about["agrees"]:
        print("the environment did not replay identically: it is not the recorded run where the caption is red")


def _export(asked: argparse.Namespace) -> None:
    about = {"algorithm_name": asked.algorithm, "author": asked.author, "description": asked.description}
    made = export.export(
        [records_of(path) for path in asked.journal],
        _catalogue(asked),
        asked.dataset,
        progress=_progress("episode"),
        **{name: value for name, value in about.items() if value},
    )
    print(
        f"{asked.dataset}: {made.total_episodes} episodes, {made.total_steps} steps, in {made.storage.data_path.parent}"
    )


def _statistics(asked: argparse.Namespace) -> None:
    found = statistics.of([records_of(path) for path in asked.journal])
    if asked.json:
        print(json.dumps(found.to_map()))
        return
    print(f"{found.episodes} finished episodes, {found.unfinished} unfinished ones, {found.steps} steps")
    for name, spread in (("length", found.lengths), ("return", found.returns)):
        if spread is not None:
            deviation = f" ± {spread.deviation:.6g}" if spread.deviation is not None else ""
            print(f"{name}: {spread.mean:.6g}{deviation}, from {spread.least:.6g} to {spread.most:.6g}")
    if found.steps_per_second is not None:
        print(f"{found.steps_per_second:.6g} steps/s, agent included")


def _catalogue(asked: argparse.Namespace) -> Catalogue:
    return Catalogue([module for module in asked.modules.split(",") if module])


def _progress(noun: str) -> Callable[[int, int], None]:
    """Shows a bar on a terminal, until all is done."""
    shown = Progress(f"{noun}s")

    def show(done: int, number: int) -> None:
        if done < number:
            shown.update(f"{bar(done, number)} {done} of {number}")
        else:
            shown.end()

    return show


_COMMANDS = {"video": _video, "export": _export, "statistics": _statistics}

if __name__ == "__main__":
    sys.exit(main())
