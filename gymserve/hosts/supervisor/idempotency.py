"""Which token an `Idempotency-Key` was given, in a file for each: a repeated creation gets the same one."""

import hashlib
import json
from pathlib import Path

from gymserve.protocol import errors
from gymserve.system.files import write_whole


class Placements:
    """Args: folder: of the files, which are deleted after a day (`folders.remove_old`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def known(self, account: int, key: str, body: str) -> str | None:
        """The token that this key of an account was given; None: it is new.

        Raises:
            KeyReused: it was used for another request.
        """
        try:
            noted = json.loads(self._file(account, key).read_text())
        except (FileNotFoundError, ValueError):  # none, or what a power loss left of one
            return None
        if noted["body"] != body:
            raise errors.KeyReused("this Idempotency-Key was used for another request")
        return str(noted["token"])

    def note(self, account: int, key: str, body: str, token: str) -> None:
        """Writes it down, whole or not at all."""
        self.folder.mkdir(exist_ok=True, mode=0o700)
        write_whole(self._file(account, key), json.dumps({"body": body, "token": token}))

    def _file(self, account: int, key: str) -> Path:
        return self.folder / hashlib.sha256(f"{account} {key}".encode()).hexdigest()
