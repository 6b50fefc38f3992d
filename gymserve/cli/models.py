"""`gymserve model`: the models in a server's registry."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from gymserve.cli.remote import call
from gymserve.client.training import Experiments
from gymserve.system.terminal.commands import JSON, SERVER, TOKEN, shared_value, with_options
from gymserve.system.terminal.tables import print_fields, print_rows

PAGE = 100


@click.command("list")
@with_options(SERVER, TOKEN, JSON)
def list_models() -> None:
    """Lists the models that you may see.

    \b
    Example: gymserve model list
    """
    models: list[dict[str, object]] = []
    while page := call("GET", f"/models/?page={len(models) // PAGE + 1}&page_size={PAGE}")["models"]:
        models += page
        if len(page) < PAGE:
            break
    columns = ("id", "title", "algorithm", "environment", "stage")
    print_rows(columns, [[model.get(column) for column in columns] for model in models])


@click.command
@click.argument("model")
@with_options(SERVER, TOKEN, JSON)
def show(model: str) -> None:
    """Shows a model's card.

    \b
    Example: gymserve model show 1
    """
    print_fields(call("GET", f"/models/{quote(model, safe='')}/"))


@click.command
@click.argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write.")
@with_options(SERVER, TOKEN)
def download(model: str, output: Path) -> None:
    """Downloads a model as the file that Stable-Baselines3 loads.

    \b
    Example: gymserve model download 1 -o pole.zip
    """
    content = call("GET", f"/models/{quote(model, safe='')}/file")
    click.echo(f"{output.write_bytes(content):,} bytes are in {output}")


def _members(context: click.Context, option: click.Parameter, text: str | None) -> dict[str, Any]:
    """The object that an option has as JSON."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise click.BadParameter("it must be a JSON object", context, option)
    return value


@click.command
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--title", help="The model's title.  [default: the file's name]")
@click.option("--algorithm", required=True, help="With which it was trained, for example PPO.")
@click.option("--environment", required=True, help="In which it was trained, for example CartPole-v1.")
@click.option("--hyperparameters", metavar="JSON", callback=_members, help="Those that the file has only pickled.")
@click.option("--env-kwargs", metavar="JSON", callback=_members, help="The environment's arguments.")
@click.option("--frame-stack", type=int, default=0, help="Number of observations that it sees at once.")
@click.option("--atari", is_flag=True, help="It was trained with the standard Atari wrapper.")
@with_options(SERVER, TOKEN, JSON)
def upload(file: Path, title: str | None, algorithm: str, environment: str, **parameters: Any) -> None:
    """Uploads a model that was trained elsewhere: a zip that Stable-Baselines3 saved.

    \b
    Example: gymserve model upload pole.zip --algorithm PPO --environment CartPole-v1
    """
    server = Experiments(shared_value(SERVER), token=shared_value(TOKEN))
    try:
        options = {name: value for name, value in parameters.items() if value}
        model = server.upload(file, title or file.stem, algorithm=algorithm, environment=environment, **options)
    finally:
        server.close()
    if shared_value(JSON):
        print_fields(model.card)
    else:
        click.echo(f"model {model.id}, {model.card['title']}: {algorithm} on {environment}")


@click.command
@click.argument("model")
@with_options(SERVER, TOKEN)
def delete(model: str) -> None:
    """Deletes a model.

    \b
    Example: gymserve model delete 1
    """
    call("DELETE", f"/models/{quote(model, safe='')}/")
    click.echo(f"model {model} is deleted")
