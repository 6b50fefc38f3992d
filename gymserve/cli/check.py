"""`gymserve challenge check`, which needs the settings, but no database."""

import signal
import subprocess
import tempfile
from pathlib import Path

import click

from gymserve.cli.settings import check_data_exists, read_settings
from gymserve.grader.challenges import definition, examples
from gymserve.system import interpreters
from gymserve.system.terminal.commands import DATA, SETTINGS, with_options


@click.command
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--seconds", type=float, default=20.0, help="How long the random agent may play.")
@with_options(SETTINGS, DATA)
def check(file: Path, seconds: float) -> int:
    """Makes a challenge's environment, replays it, and shows a random agent's scores.

    It does so in a process like those of the server. FILE is a TOML file, or the name of an example.

    \b
    Example: gymserve challenge check pole.toml
    """
    settings = read_settings()
    check_data_exists(settings.DATA)
    path = examples.path_of(file)
    definition.load(path, functions=settings.SCORING_FUNCTIONS)
    functions = [word for name in settings.SCORING_FUNCTIONS for word in ("--function", name)]
    modules = ("--modules", ",".join(settings.ENVIRONMENT_MODULES))
    arguments = ("check", str(path.resolve()), "--seconds", str(seconds), *modules, *functions)
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the other process, which says so
    try:
        with tempfile.TemporaryDirectory() as elsewhere:  # for a machine without a server
            data = Path(settings.DATA)
            done = subprocess.run(
                interpreters.command("gymserve.grader", *arguments),
                cwd=interpreters.directory(data if data.is_dir() else Path(elsewhere)),
                env=interpreters.variables(settings.ENVIRONMENT_VARIABLES),
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
    finally:
        signal.signal(signal.SIGINT, handler)
    click.echo(done.stdout, nl=False)
    return done.returncode
