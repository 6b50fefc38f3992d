"""Makes videos, data sets and statistics of journals.

python -m gymserve.recording video JOURNAL -o run.webm
python -m gymserve.recording export JOURNAL… --dataset cartpole/my-runs-v0
python -m gymserve.recording statistics JOURNAL…

JOURNAL is a journal's file, the folder of its instance, or a submission's bundle.
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
    interpreters.reexecute_alike()  # must precede all other imports
from gymserve.environments import Catalogue
from gymserve.journal import episodes_of, recipe_of
from gymserve.protocol.errors import GymserveError, InvalidRequest
from gymserve.recording import export, statistics
from gymserve.recording.video import encoding, rendering
from gymserve.recording.video.episodes import records_of
from gymserve.system.progress import Progress, bar

ENDINGS = (*encoding.FORMATS, ".gif")


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; returns 0, or 2 if it failed, after printing the reason."""
    imports.freeze()
    options = _parser().parse_args(arguments)
    sys.path.insert(0, "")
    try:
        _COMMANDS[options.command](options)
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
    modules = argparse.ArgumentParser(add_help=False)  # --modules may precede or follow the command
    modules_help = "comma-separated modules that register environments"
    modules.add_argument("--modules", default=argparse.SUPPRESS, help=modules_help)
    parser.add_argument("--modules", default="", help=modules_help)
    commands = parser.add_subparsers(dest="command", required=True)
    video = commands.add_parser("video", parents=[modules], help="make a video of a journal's episodes")
    video.add_argument("journal", type=Path)
    video.add_argument("-o", "--output", type=Path, required=True, help=f"a file that ends in {', '.join(ENDINGS)}")
    video.add_argument("--episode", type=int, action="append", help="only this episode, from 1; may be repeated")
    video.add_argument("--seconds", type=float, default=60.0, help="maximum length of the video (60)")
    video.add_argument("--title", help="caption below the pictures (the environment's id)")
    dataset = commands.add_parser("export", parents=[modules], help="make a Minari data set of journals' episodes")
    dataset.add_argument("journal", type=Path, nargs="+")
    dataset.add_argument("--dataset", required=True, help="the data set's name, for example cartpole/my-runs-v0")
    dataset.add_argument("--algorithm", help="metadata: the algorithm that acted")
    dataset.add_argument("--author", help="metadata: the author")
    dataset.add_argument("--description", help="metadata: a description")
    numbers = commands.add_parser(
        "statistics", parents=[modules], help="print lengths, returns and speed of journals' episodes"
    )
    numbers.add_argument("journal", type=Path, nargs="+")
    numbers.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _video(options: argparse.Namespace) -> None:
    if options.output.suffix not in ENDINGS:
        raise InvalidRequest(f"{options.output} must end in {', '.join(ENDINGS)}")
    if not options.seconds > 0:
        raise InvalidRequest(f"--seconds must be positive, not {options.seconds:g}")
    records = records_of(options.journal)
    recipe = recipe_of(records)
    episodes = [episode for episode in episodes_of(records) if episode.steps]
    wanted = options.episode or [episode.number for episode in episodes]
    for number in wanted:
        if number not in [episode.number for episode in episodes]:
            raise InvalidRequest(f"{options.journal} has no episode {number} with a step: it has {len(episodes)}")
    spec = rendering.VideoSpec(
        options.title or recipe.env_id,
        [episode for episode in episodes if episode.number in wanted],
        "trial" if recipe.is_graded else "episode",
        len(recipe.trials) or None,
        options.seconds,
        float("inf"),
    )
    name = rendering.GIF if options.output.suffix == ".gif" else f"video{options.output.suffix}"
    with tempfile.TemporaryDirectory() as scratch:
        video = rendering.render_video(spec, _catalogue(options), Path(scratch), [name], progress=_progress("frame"))
        shutil.move(Path(scratch) / name, options.output)
    print(
        f"{options.output}: {video['frames']} frames, {video['seconds']:g} s at {video['speed']} times the speed, "
        f"{len(video['shown'])} of {video['episodes']} episodes" + ("" if video["complete"] else ", not to the end")
    )
    if not video["agrees"]:
        print("the environment did not replay identically: frames with a red caption are not the recorded run")


def _export(options: argparse.Namespace) -> None:
    metadata = {"algorithm_name": options.algorithm, "author": options.author, "description": options.description}
    dataset = export.export(
        [records_of(path) for path in options.journal],
        _catalogue(options),
        options.dataset,
        progress=_progress("episode"),
        **{name: value for name, value in metadata.items() if value},
    )
    folder = dataset.storage.data_path.parent
    print(f"{options.dataset}: {dataset.total_episodes} episodes, {dataset.total_steps} steps, in {folder}")


def _statistics(options: argparse.Namespace) -> None:
    summary = statistics.summarize([records_of(path) for path in options.journal])
    if options.json:
        print(json.dumps(summary.to_dict()))
        return
    print(f"{summary.episodes} finished episodes, {summary.unfinished} unfinished ones, {summary.steps} steps")
    for name, spread in (("length", summary.lengths), ("return", summary.returns)):
        if spread is not None:
            deviation = f" ± {spread.deviation:.6g}" if spread.deviation is not None else ""
            print(f"{name}: {spread.mean:.6g}{deviation}, from {spread.least:.6g} to {spread.most:.6g}")
    if summary.steps_per_second is not None:
        print(f"{summary.steps_per_second:.6g} steps/s, including the agent")


def _catalogue(options: argparse.Namespace) -> Catalogue:
    return Catalogue([module for module in options.modules.split(",") if module])


def _progress(noun: str) -> Callable[[int, int], None]:
    """A progress callback that shows a bar on a terminal until all is done."""
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
