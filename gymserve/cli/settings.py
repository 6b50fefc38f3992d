"""The settings with which a command works."""

import os
from pathlib import Path

import click

from gymserve import settings
from gymserve.system.terminal.commands import DATA, SETTINGS, shared_value


def read_settings(**overrides: object) -> settings.Settings:
    """The settings with which the running command works; None among `overrides` leaves a setting as it is.

    Raises:
        SettingsError: they are invalid.
    """
    chosen = {"DATA": shared_value(DATA), **overrides}
    return settings.load(shared_value(SETTINGS), os.environ, {k: v for k, v in chosen.items() if v is not None})


def check_data_exists(data: str) -> None:
    """Checks the setting DATA for commands other than `serve`: a typing error must not create a second server.

    Raises:
        UsageError: `--data` names a directory that does not exist.
    """
    if shared_value(DATA) and not Path(data).is_dir():
        raise click.UsageError(
            f"The data directory {data} does not exist. Check --data; `gymserve serve --data {data}` makes a new one."
        )
