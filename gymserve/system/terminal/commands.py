"""Groups of commands, on click: imported when they are used, and with failures reported in one line.

Options that many commands share, such as `--server`, may precede or follow a command's name.
"""

import functools
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import click
from click.shell_completion import shell_complete

from gymserve.system import imports, interpreters
from gymserve.system.extras import MissingExtra

FAILED, INTERRUPTED = 1, 130  # exit statuses; the last one is what shells use for Ctrl-C
_PREFIX = "gymserve."  # of the shared options' names in a context's `meta`
_THIS_PROCESS = object()  # a context's `obj` if the command is all that this process runs

F = TypeVar("F", bound=Callable[..., object])


def _remember(context: click.Context, option: click.Parameter, value: object) -> None:
    if value is not None and value is not False:
        context.meta[f"{_PREFIX}{option.name}"] = value


def shared(*names: str, **attributes: Any) -> click.Option:  # Any: passed on
    """An option that may precede or follow the command; `shared_value` reads it."""
    return click.Option(names, expose_value=False, callback=_remember, **attributes)


SETTINGS = shared("--settings", metavar="FILE", help="Settings file.  [default: localsettings.py, if it exists]")
DATA = shared("--data", metavar="DIR", help="Data directory.  [default: the setting DATA]")
SERVER = shared("--server", metavar="URL", help="The server.  [default: $GYMSERVE_SERVER, else http://127.0.0.1:5000]")
TOKEN = shared("--token", metavar="KEY", help="API key.  [default: $GYMSERVE_TOKEN]")
MODULES = shared("--modules", metavar="NAMES", help="Comma-separated modules that register environments.")
JSON = shared("--json", is_flag=True, help="Print JSON.")


def _same(option: click.Option, *_: object, **__: object) -> click.Option:
    return option


def with_options(*options: click.Option) -> Callable[[F], F]:
    """A decorator that gives a command some shared options."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            same: Any = functools.partial(_same, option)  # instead of a class that makes another option
            click.option(*option.opts, cls=same)(function)
        return function

    return decorate


def shared_value(option: click.Option) -> Any:  # of the option's type
    """The value of a shared option of the running command; None if it was left out."""
    return click.get_current_context().meta.get(f"{_PREFIX}{option.name}")


class LazyCommand(NamedTuple):
    """A command of a group, imported when it is used.

    Attributes:
        place: "module:attribute", a click command.
        summary: its line in the group's help.
        extra: the extra of the package that has the libraries it needs, "" if it needs none.
        replays: whether it runs environments, which takes an interpreter like those of a server's hosts.
    """

    place: str
    summary: str
    extra: str = ""
    replays: bool = False

    def load(self) -> click.Command:
        """Imports the command.

        Raises:
            ClickException: a library that it needs is not installed.
        """
        module, _, attribute = self.place.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except MissingExtra as error:
            raise click.ClickException(str(error)) from None
        except ModuleNotFoundError as error:
            if not self.extra or error.name is None or error.name.partition(".")[0] == "gymserve":
                raise
            raise click.ClickException(str(MissingExtra(self.extra, error.name))) from None


class Group(click.Group):
    """A group of commands that are imported when they are used.

    Args:
        entries: by name: commands that are imported when they are used, commands, and groups.
        options: options of the group's own, and the shared ones of its commands.
        default: the command that runs if options come first.
        takes_words: whether the default command runs for any first word that names no command, too.
    """

    def __init__(
        self,
        entries: Mapping[str, LazyCommand | click.Command],
        *,
        help: str,
        options: Sequence[click.Option] = (SETTINGS, DATA, SERVER, TOKEN, MODULES, JSON),
        default: str | None = None,
        takes_words: bool = False,
    ) -> None:
        settings = {"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100}
        super().__init__(None, help=help, params=list(options), context_settings=settings, no_args_is_help=not default)
        self.entries = entries
        self._default = default
        self._takes_words = takes_words

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.entries)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        entry = self.entries.get(name)
        return entry.load() if isinstance(entry, LazyCommand) else entry

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the commands, each with its summary, and the options that are not shared: commands list those."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(each)) for name, each in self.entries.items()])
        own = [each for each in self.get_params(context) if each.callback is not _remember]
        records = [each.get_help_record(context) for each in own]
        with formatter.section("Options"):
            formatter.write_dl([each for each in records if each])

    def parse_args(self, context: click.Context, words: list[str]) -> list[str]:
        if self._default is not None:
            at = self._first_word(words)
            if at == len(words) or self._is_for_default(words[at], context):
                words = [*words[:at], self._default, *words[at:]]
        return super().parse_args(context, words)

    def _first_word(self, words: Sequence[str]) -> int:
        """The index of the first word that is neither a shared option nor a shared option's value."""
        shared = [each for each in self.params if isinstance(each, click.Option) and each.callback is _remember]
        flags = {name: each.is_flag for each in shared for name in each.opts}
        at = 0
        while at < len(words) and (name := words[at].partition("=")[0]) in flags:
            at += 1 if flags[name] or "=" in words[at] else 2
        return min(at, len(words))

    def _is_for_default(self, word: str, context: click.Context) -> bool:
        if word.startswith("-"):
            own = {name for each in self.get_params(context) for name in each.opts}
            return word.partition("=")[0] not in own
        return self._takes_words and word not in self.entries

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if (entry := self.entries.get(name)) is None:
            raise click.exceptions.NoSuchCommand(name, possibilities=self.entries, ctx=context)
        if isinstance(entry, LazyCommand) and entry.replays and context.obj is _THIS_PROCESS:
            interpreters.reexecute_alike()
        command = self.get_command(context, name)
        imports.freeze()
        if isinstance(entry, LazyCommand) and command is not None:
            known = {f"{_PREFIX}{each.name}" for each in command.params}
            for unknown in (each for each in context.meta if each.startswith(_PREFIX) and each not in known):
                raise click.NoSuchOption(f"--{unknown.removeprefix(_PREFIX)}", ctx=context)
        return name, command, args[1:]


def _summary(entry: LazyCommand | click.Command) -> str:
    text = entry.summary if isinstance(entry, LazyCommand) else entry.get_short_help_str(100)
    return text[0].upper() + text[1:].rstrip(".")


def run(
    group: click.Command,
    arguments: Sequence[str] | None,
    *,
    name: str,
    failures: Callable[[], tuple[type[Exception], ...]],
) -> int:
    """Runs a command and returns its exit status; whatever goes wrong is one line on standard error.

    Args:
        arguments: the words after the program's name; None: this process's.
        name: the program's name.
        failures: returns the exceptions whose message is all that a user needs.
    """
    variable = f"_{name.upper()}_COMPLETE"
    try:
        if arguments is None and (request := os.environ.get(variable)):
            return shell_complete(group, {}, name, variable, request)
        words = sys.argv[1:] if arguments is None else list(arguments)
        with group.make_context(name, words, obj=_THIS_PROCESS if arguments is None else None) as context:
            status = group.invoke(context)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        _say(f"{name}: interrupted", error)
        return INTERRUPTED
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does; another error at exit is avoided
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if not isinstance(error, (*failures(), OSError)):
            raise
        _say(f"{name}: {error}", error)
        return FAILED


def _say(text: str, error: BaseException) -> None:
    """Prints a text, and the notes of the error, which say what it has led to."""
    print(". ".join((text, *getattr(error, "__notes__", ()))), file=sys.stderr)
