"""A serving process' connection to the supervisor, which it starts if necessary."""

import contextlib
import subprocess
import threading

from gymserve.hosts import child_processes
from gymserve.hosts.link import Answer, Link, LinkClosed, LinkRequest, LinkTimeout
from gymserve.hosts.messages import GetStatus, Stop
from gymserve.protocol import errors
from gymserve.system.launcher import Launcher
from gymserve.system.locks import locked

READY_SECONDS = 2.0  # within this time the supervisor of a ready server answers


class SupervisorConnection:
    """The connection to the supervisor, shared by all threads of this process.

    Args:
        launcher: starts the supervisor.
        patience: time limit for an answer, in seconds.

    Attributes:
        runtime: the directory of the sockets, or "" before the first connection.
    """

    def __init__(self, launcher: Launcher, patience: float) -> None:
        self.launcher, self.data = launcher, launcher.data
        self.runtime = ""
        self._patience = patience
        self._connection: Link | None = None
        self._owns = False  # whether `stop` stops the supervisor
        self._asking = threading.Lock()

    def ask(self, request: LinkRequest[Answer]) -> Answer:
        """Sends a request to the supervisor; starts it or connects again if necessary.

        Raises:
            Unavailable: the supervisor does not answer.
        """
        with self._asking:
            for _ in range(2):
                try:
                    if self._connection is None:
                        self._connection = self._connect()
                    return self._connection.call(request)
                except (LinkClosed, LinkTimeout, OSError):
                    self.forget()
                except errors.SettingsError as error:  # the settings were valid before, so the cause may be temporary
                    raise errors.Unavailable(f"the server's supervisor cannot start: {error}") from error
        raise errors.Unavailable("the server's supervisor does not answer: try again")

    def start(self) -> None:
        """Starts the supervisor of a server that must not share its data directory.

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
        """Stops the supervisor and its hosts, and waits for their end; does nothing if another process owns them."""
        with contextlib.suppress(LinkClosed, LinkTimeout, OSError, errors.GymserveError):
            if self._connection is not None and self._owns:
                self._connection.call(Stop())
                self._connection.answer(Stop())  # the end of the connection
        self.forget()

    def check(self) -> None:
        """Checks that the supervisor answers within `READY_SECONDS`; starts it if it does not run.

        Raises:
            Unavailable: the supervisor does not answer.
        """
        try:
            runtime = (self.data / "supervisor").read_text()
            with contextlib.closing(Link(f"{runtime}/supervisor", timeout=READY_SECONDS)) as connection:
                connection.call(GetStatus())
        except LinkTimeout:
            raise errors.Unavailable("the server's supervisor does not answer") from None
        except (LinkClosed, OSError):
            self.ask(GetStatus())

    def forget(self) -> None:
        """Closes the connection. The supervisor ends some time after its last connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> Link:
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self.data / "starting"):  # one process starts the supervisor, the others connect
            with contextlib.suppress(OSError):
                self.runtime = (self.data / "supervisor").read_text()
                return Link(f"{self.runtime}/supervisor", timeout=self._patience)
            self.runtime = start_supervisor(self.launcher)
            self._owns = True
            return Link(f"{self.runtime}/supervisor", timeout=self._patience)


def start_supervisor(launcher: Launcher) -> str:
    """Starts the supervisor's process; returns its runtime directory.

    Raises:
        SettingsError: the supervisor cannot start; the message is the reason that it printed.
    """
    mark = {child_processes.MARK: str(launcher.data)}
    process = child_processes.start_spared(
        lambda: launcher.start("gymserve.hosts.supervisor", stdout=subprocess.PIPE, **mark)
    )
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # it ended at once, which the lines below handle
        process.stdin.close()
    word, _, rest = process.stdout.readline().strip().partition(" ")
    process.stdout.close()
    if word != "ready":
        process.wait()
        raise errors.SettingsError(rest or "the supervisor ended before it was ready")
    threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie
    return rest
