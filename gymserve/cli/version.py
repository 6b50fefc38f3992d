"""`gymserve --version`."""

import os
import platform

import click

import gymserve
from gymserve import settings
from gymserve.protocol.errors import SettingsError
from gymserve.settings.table import FIELDS, SECRET, Settings
from gymserve.system.terminal.commands import SETTINGS, shared_value

LIBRARIES = (
    "gymnasium", "numpy", "msgspec", "urllib3", "flask", "gunicorn", "sqlalchemy", "ale-py", "box2d", "mujoco", "opensim",
    "stable-baselines3", "torch",
)  # fmt: skip


def show_version(context: click.Context, option: click.Parameter, value: object) -> None:
    """Prints the version and ends; with `--verbose`, also libraries' versions, and settings that are no secrets."""
    if not value:
        return
    click.echo(f"gymserve {gymserve.__version__}")
    if context.params["verbose"]:
        click.echo(f"Python {platform.python_version()} on {platform.platform()}")
        for name in LIBRARIES:
            click.echo(f"{name} {_installed(name)}")
        with context:
            _show_settings()
    context.exit()


def _installed(name: str) -> str:
    import importlib.metadata  # deferred, since it with_options 80 ms and each command imports this module

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "is not installed"


def _show_settings() -> None:
    """Prints the settings that differ from their defaults; of secrets, only that they are set."""
    try:
        configuration = settings.load(shared_value(SETTINGS), os.environ, {})
    except SettingsError as error:
        click.echo(f"the settings are invalid: {error}")
        return
    usual = Settings()
    for name in FIELDS:
        value = getattr(configuration, name)
        if value != getattr(usual, name):
            click.echo(f"{name} = {'(a secret)' if name in SECRET else repr(value)}")
