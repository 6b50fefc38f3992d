"""Idempotency keys: a repeated creation gets the token of the first one. Each key is a file."""

import hashlib
import json
from pathlib import Path

from gymserve.protocol import errors
from gymserve.system.files import write_atomically


class IdempotencyKeys:
    """The tokens that were given to accounts' idempotency keys.

    Args:
        folder: the folder of the files, which `folders.remove_old` deletes after a day.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def token(self, account: int, key: str, body: str) -> str | None:
        """The token that this key of an account was given, or None if the key is new.

        Raises:
            KeyReused: the key was used for another request.
        """
        try:
            record = json.loads(self._file(account, key).read_text())
        except (FileNotFoundError, ValueError):  # there is no file, or a power loss has damaged it
            return None
        if record["body"] != body:
            raise errors.KeyReused("this Idempotency-Key was used for another request")
        return str(record["token"])

    def note(self, account: int, key: str, body: str, token: str) -> None:
        """Stores the token of a new key atomically."""
        self.folder.mkdir(exist_ok=True, mode=0o700)
        write_atomically(self._file(account, key), json.dumps({"body": body, "token": token}))

    def _file(self, account: int, key: str) -> Path:
        return self.folder / hashlib.sha256(f"{account} {key}".encode()).hexdigest()
