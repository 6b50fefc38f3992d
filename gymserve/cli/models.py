"""`gymserve model`: the models in a server's registry."""

from pathlib import Path
from urllib.parse import quote

import click

from gymserve.cli.remote import call
from gymserve.system.terminal.commands import JSON, SERVER, TOKEN, with_options
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
