"""How a serving process reaches the supervisor, and starts it where it does not run."""

import contextlib
import subprocess
import threading
from pathlib import Path

from gymserve.hosts import child_processes
from gymserve.hosts.link import Answer, Connection, Late, Lost, Request
from gymserve.hosts.messages import GetStatus, Stop
from gymserve.protocol import errors
from gymserve.settings import Settings
from gymserve.system import interpreters
from gymserve.system.locks import locked

READY_SECONDS = 2.0  # in which the supervisor of a server that is ready answers


class Supervision:
    """The connection to the supervisor, for all threads of this process.

    Args:
        settings: those of the server; the supervisor is started with them.
        patience: seconds in which an answer comes.

    Attributes:
        runtime: the directory of the sockets; "" before the first connection.
    """

    def __init__(self, settings: Settings, patience: float) -> None:
        self.settings = settings
        self.data = Path(settings.DATA)
        self.runtime = ""
        self._patience = patience
        self._connection: Connection | None = None
        self._owns = False  # whether this process' end is to be the supervisor's
        self._asking = threading.Lock()

    def ask(self, request: Request[Answer]) -> Answer:
        """Asks the supervisor, which is started or found again where needed.

        Raises:
            Unavailable: it does not answer.
        """
        with self._asking:
            for _ in range(2):
                try:
                    if self._connection is None:
                        self._connection = self._connect()
                    return self._connection.call(request)
                except (Lost, Late, OSError):
                    self.forget()
                except errors.SettingsError as error:  # it has served already: what is wrong now may pass
                    raise errors.Unavailable(f"the server's supervisor cannot start: {error}") from error
        raise errors.Unavailable("the server's supervisor does not answer: try again")

    def start(self) -> None:
        """Starts the supervisor for a server that is to have the data directory for itself.

        Raises:
            SettingsError: another server uses the directory, or the supervisor cannot start.
        """
        self._connection = self._connect()
        if self.ask(GetStatus()).clients > 1:
            raise errors.SettingsError(
                f"another server uses the data directory {self.data}: choose another with --data"
            )
        self._owns = True

    def stop(self) -> None:
        """Drains the hosts, and returns when they and the supervisor are gone; nothing, where another server has them."""
        with contextlib.suppress(Lost, Late, OSError, errors.GymserveError):
            if self._connection is not None and self._owns:
                self._connection.call(Stop())
                self._connection.answer(Stop())  # the end of the connection
        self.forget()

    def check(self) -> None:
        """Whether the supervisor answers at once; it is started where there is none.

        Raises:
            Unavailable: it does not.
        """
        try:
            runtime = (self.data / "supervisor").read_text()
            with contextlib.closing(Connection(f"{runtime}/supervisor", timeout=READY_SECONDS)) as connection:
                connection.call(GetStatus())
        except Late:
            raise errors.Unavailable("the server's supervisor does not answer") from None
        except (Lost, OSError):
            self.ask(GetStatus())

    def forget(self) -> None:
        """Lets go of the connection, which keeps the supervisor alive."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> Connection:
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self.data / "starting"):  # one process starts it, the others find it
            with contextlib.suppress(OSError):
                self.runtime = (self.data / "supervisor").read_text()
                return Connection(f"{self.runtime}/supervisor", timeout=self._patience)
            self.runtime = start_supervisor(self.settings)
            self._owns = True
            return Connection(f"{self.runtime}/supervisor", timeout=self._patience)


def start_supervisor(settings: Settings) -> str:
    """Starts the supervisor's process; returns its runtime directory.

    Raises:
        SettingsError: it cannot start, for the reason that it gave.
    """
    process = subprocess.Popen(
        interpreters.command("gymserve.hosts.supervisor"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C at the terminal is the front door's to handle
        text=True,
        cwd=interpreters.directory(Path(settings.DATA)),
        env={**interpreters.variables(settings.ENVIRONMENT_VARIABLES), child_processes.MARK: settings.DATA},
    )
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # it ended at once, which the next lines find
        process.stdin.write(settings.to_json())
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    word, _, rest = process.stdout.readline().strip().partition(" ")
    process.stdout.close()
    if word != "ready":
        process.wait()
        raise errors.SettingsError(rest or "the supervisor ended before it was ready")
    threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie
    return rest
