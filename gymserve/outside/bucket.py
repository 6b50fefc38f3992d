"""An S3-compatible bucket that the settings name: uploads files, and reads them in parts."""

import importlib
import os
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from gymserve.protocol.errors import NotFound, SettingsError, Unavailable
from gymserve.settings import Settings

TIMEOUT_SECONDS = 30


def of(settings: Settings) -> "Bucket | None":
    """The bucket that the settings name; None if they name none.

    Raises:
        SettingsError: its address is invalid, or the library for it is not installed.
    """
    if settings.S3_ENDPOINT and not settings.S3_ENDPOINT.startswith(("https://", "http://")):
        raise SettingsError("S3_ENDPOINT must start with https:// or http://")
    if not settings.S3_BUCKET:
        return None
    return Bucket(
        settings.S3_BUCKET,
        endpoint=settings.S3_ENDPOINT,
        region=settings.S3_REGION,
        access_key=settings.S3_ACCESS_KEY,
        secret_key=settings.S3_SECRET_KEY,
    )


class Bucket:
    """An S3-compatible bucket.

    Args:
        endpoint: the server's URL; "" for Amazon S3.

    Raises:
        SettingsError: the library for it is not installed.
    """

    def __init__(self, name: str, *, endpoint: str, region: str, access_key: str, secret_key: str) -> None:
        try:
            self._obstore = importlib.import_module("obstore")
            stores = importlib.import_module("obstore.store")
        except ImportError as error:
            raise SettingsError("S3_BUCKET needs obstore: pip install 'gymserve[s3]'") from error
        self.name = name
        self.place = urlsplit(endpoint).netloc.rpartition("@")[2] or "Amazon"
        options = {
            "region": region,
            "access_key_id": access_key,
            "secret_access_key": secret_key,
            "endpoint": endpoint,
        }
        self._store = stores.S3Store(
            name,
            **{option: value for option, value in options.items() if value},
            client_options={
                "timeout": f"{TIMEOUT_SECONDS}s",
                "connect_timeout": "5s",
                "allow_http": endpoint.startswith("http://"),
            },
            retry_config={"max_retries": 1},
        )

    def put(self, key: str, file: Path, content_type: str) -> None:
        """Uploads a file.

        Raises:
            Unavailable: the bucket cannot be reached, or refuses the file.
        """
        try:
            self._obstore.put(self._store, key, file, attributes={"Content-Type": content_type})
        except Exception as error:
            raise self._unavailable(error) from None

    def remove(self, keys: list[str]) -> None:
        """Deletes keys; those that do not exist are ignored.

        Raises:
            Unavailable: the bucket cannot be reached, or refuses to delete them.
        """
        try:
            self._obstore.delete(self._store, keys)
        except FileNotFoundError:
            pass  # some servers' answer for keys that do not exist
        except Exception as error:
            raise self._unavailable(error) from None

    def open(self, key: str) -> tuple[IO[bytes], int]:
        """(a seekable file, its size).

        Raises:
            NotFound: there is no such key.
            Unavailable: the bucket does not answer.
        """
        try:
            reader = self._obstore.open_reader(self._store, key)
            return _Reader(reader), reader.size  # type: ignore[return-value]  # has the methods of IO that callers use
        except FileNotFoundError:
            raise NotFound("it is no longer in the bucket") from None
        except Exception as error:
            raise self._unavailable(error) from None

    def _unavailable(self, error: Exception) -> Unavailable:
        """The error to raise, without the server's message, which may contain keys and signatures."""
        return Unavailable(f"the bucket {self.name} at {self.place} cannot be used ({type(error).__name__})")


class _Reader:
    """Adapts obstore's reader, so that it returns bytes."""

    def __init__(self, reader: Any) -> None:  # Any: obstore may be missing
        self._reader = reader

    def read(self, size: int = -1) -> bytes:
        return bytes(self._reader.read(None if size < 0 else size))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self._reader.seek(offset, whence))

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self._reader.tell())

    def close(self) -> None:
        self._reader.close()
