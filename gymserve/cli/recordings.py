"""`gymserve video`, `gymserve dataset` and `gymserve journal`, of files on this machine.

A journal is its file, the folder of its instance, or a submission's bundle.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from gymserve.environments import Catalogue
from gymserve.journal import episodes_of, read, recipe_of
from gymserve.journal.records import Reset, Step
from gymserve.protocol.errors import InvalidRequest
from gymserve.recording import export, statistics
from gymserve.recording.video import encoding, rendering
from gymserve.recording.video.episodes import records_of
from gymserve.system.terminal.commands import JSON, MODULES, shared_value, with_options
from gymserve.system.terminal.progress import Progress, bar

ENDINGS = (*encoding.FORMATS, ".gif")
FILE = click.Path(exists=True, path_type=Path)


@click.command
@click.argument("journal", type=FILE)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help=f"A file in {', '.join(ENDINGS)}.")
@click.option(
    "--episode", "chosen", type=int, multiple=True, help="Only this one, from 1; may be repeated.  [default: all]"
)
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=60.0, help="Maximum length of the video.")
@click.option("--title", help="Caption below the pictures.  [default: the environment's id]")
@with_options(MODULES)
def video(journal: Path, output: Path, chosen: tuple[int, ...], seconds: float, title: str | None) -> None:
    """Makes a video of a journal's episodes.

    \b
    Example: gymserve video JOURNAL -o run.webm
    """
    if output.suffix not in ENDINGS:
        raise InvalidRequest(f"{output} must end in {', '.join(ENDINGS)}")
    records = records_of(journal)
    recipe = recipe_of(records)
    episodes = {episode.number: episode for episode in episodes_of(records) if episode.steps}
    for number in chosen:
        if number not in episodes:
            raise InvalidRequest(f"{journal} has no episode {number} with a step: it has {len(episodes)}")
    spec = rendering.VideoSpec(
        title or recipe.env_id,
        [episode for number, episode in episodes.items() if number in chosen or not chosen],
        "trial" if recipe.is_graded else "episode",
        len(recipe.trials) or None,
        seconds,
        float("inf"),
    )
    name = rendering.GIF if output.suffix == ".gif" else f"video{output.suffix}"
    with tempfile.TemporaryDirectory() as scratch:
        made = rendering.render_video(spec, _catalogue(), Path(scratch), [name], progress=_progress("frame"))
        shutil.move(Path(scratch) / name, output)
    click.echo(
        f"{output}: {made['frames']} frames, {made['seconds']:g} s at {made['speed']} times the speed, "
        f"{len(made['shown'])} of {made['episodes']} episodes" + ("" if made["complete"] else ", not to the end")
    )
    if not made["agrees"]:
        click.echo("the environment did not replay identically: frames with a red caption are not the recorded run")


@click.command
@click.argument("journals", metavar="JOURNAL…", type=FILE, nargs=-1, required=True)
@click.option("--name", required=True, help="The data set's name, for example cartpole/my-runs-v0.")
@click.option("--algorithm", help="Metadata: the algorithm that acted.")
@click.option("--author", help="Metadata: the author.")
@click.option("--description", help="Metadata: a description.")
@with_options(MODULES)
def dataset(
    journals: tuple[Path, ...], name: str, algorithm: str | None, author: str | None, description: str | None
) -> None:
    """Makes a Minari data set of journals' episodes.

    \b
    Example: gymserve dataset JOURNAL… --name cartpole/my-runs-v0
    """
    metadata = {"algorithm_name": algorithm, "author": author, "description": description}
    made = export.export(
        [records_of(path) for path in journals],
        _catalogue(),
        name,
        progress=_progress("episode"),
        **{key: value for key, value in metadata.items() if value},
    )
    click.echo(f"{name}: {made.total_episodes} episodes, {made.total_steps} steps, in {made.storage.data_path.parent}")


@click.command("statistics")
@click.argument("journals", metavar="JOURNAL…", type=FILE, nargs=-1, required=True)
@with_options(JSON)
def show_statistics(journals: tuple[Path, ...]) -> None:
    """Prints lengths, returns and speed of journals' episodes.

    \b
    Example: gymserve journal statistics JOURNAL…
    """
    summary = statistics.summarize([records_of(path) for path in journals])
    if shared_value(JSON):
        click.echo(json.dumps(summary.to_dict()))
        return
    click.echo(f"{summary.episodes} finished episodes, {summary.unfinished} unfinished ones, {summary.steps} steps")
    for name, spread in (("length", summary.lengths), ("return", summary.returns)):
        if spread is not None:
            deviation = f" ± {spread.deviation:.6g}" if spread.deviation is not None else ""
            click.echo(f"{name}: {spread.mean:.6g}{deviation}, from {spread.least:.6g} to {spread.most:.6g}")
    if summary.steps_per_second is not None:
        click.echo(f"{summary.steps_per_second:.6g} steps/s, including the agent")


@click.command
@click.argument("journal", type=FILE)
def show(journal: Path) -> None:
    """Prints a journal, one record a line.

    \b
    Example: gymserve journal show JOURNAL | head
    """
    moves = 0
    for record in read(journal / "journal" if journal.is_dir() else journal):
        name = type(record).__name__.lower()
        fields = record._asdict()
        if isinstance(record, (Reset, Step)):
            moves += 1
            name = f"{moves:>8} {name}"
            fields["digest"] = f"{record.digest:016x}"
            fields.pop("generators", None)
        click.echo(f"{name:<16} " + " ".join(f"{key}={value}" for key, value in fields.items() if value is not None))


def _catalogue() -> Catalogue:
    sys.path.insert(0, "")
    return Catalogue([name for name in (shared_value(MODULES) or "").split(",") if name])


def _progress(noun: str) -> Callable[[int, int], None]:
    """A progress callback that shows a bar on a terminal until all is done."""
    shown = Progress(f"{noun}s")

    def show(done: int, number: int) -> None:
        if done < number:
            shown.update(f"{bar(done, number)} {done} of {number}")
        else:
            shown.end()

    return show
