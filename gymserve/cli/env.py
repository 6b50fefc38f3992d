"""`gymserve env list` and `show`; client/__main__.py has its other commands."""

from urllib.parse import quote

import click

from gymserve.cli.remote import call
from gymserve.system.terminal.commands import JSON, SERVER, TOKEN, with_options
from gymserve.system.terminal.tables import print_fields, print_rows


@click.command("list")
@click.argument("search", default="")
@with_options(SERVER, TOKEN, JSON)
def list_environments(search: str) -> None:
    """Lists a server's environments: those whose id contains SEARCH.

    \b
    Example: gymserve env list lake
    """
    rows = [
        (row["id"], row["max_episode_steps"], row["missing"] or "ready")
        for row in call("GET", "/v1/environments/")["environments"]
        if search.lower() in row["id"].lower()
    ]
    print_rows(("id", "max_episode_steps", "state"), rows)


@click.command
@click.argument("env_id")
@with_options(SERVER, TOKEN, JSON)
def show(env_id: str) -> None:
    """Shows an environment of a server: its spaces, its arguments, and what is missing to make it.

    \b
    Example: gymserve env show FrozenLake-v1
    """
    print_fields(call("GET", f"/v1/environments/{quote(env_id)}/"))
