"""Starts the processes of a server that read its settings: the supervisor and the background processes."""

import contextlib
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from gymserve.settings import Settings
from gymserve.system import interpreters


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """Starts modules in interpreters of their own, which read the settings from standard input.

    Args:
        data: the data directory, as an absolute path.
        variables: the setting ENVIRONMENT_VARIABLES.
        settings: the settings that a process needs, as JSON.
    """

    data: Path
    variables: Mapping[str, str]
    settings: str

    @classmethod
    def of(cls, settings: Settings, *, secrets: Collection[str] = ()) -> "Launcher":
        """A launcher of processes that get these settings, see `Settings.to_json`."""
        data, text = Path(settings.DATA).resolve(), settings.to_json(secrets=secrets)
        return cls(data=data, variables=settings.ENVIRONMENT_VARIABLES, settings=text)

    def start(self, module: str, *, stdout: int | None = None, **variables: str) -> subprocess.Popen[str]:
        """Starts a module; its standard input stays open.

        Args:
            variables: further environment variables.
        """
        process = subprocess.Popen(
            interpreters.command(module),
            stdin=subprocess.PIPE,
            stdout=stdout,
            start_new_session=True,  # only the server process handles Ctrl-C at the terminal
            text=True,
            cwd=interpreters.directory(self.data),
            env=interpreters.variables(self.variables) | variables,
        )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended at once, which the caller notices
            process.stdin.write(self.settings + "\n")
            process.stdin.flush()
        return process
