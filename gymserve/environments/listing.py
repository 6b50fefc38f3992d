"""Lists the catalogue: each environment's row, with its spaces, which are cached in a file until versions change."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gymserve.environments.catalogue import Catalogue
from gymserve.protocol.errors import EnvironmentFailed, InvalidRequest
from gymserve.protocol.wire import JSONObject
from gymserve.system.files import write_atomically
from gymserve.system.locks import try_lock

RETRY_SECONDS = 600.0  # by then the reason why an environment failed may be gone, for example a lack of memory
Spaces = Callable[[str, JSONObject], JSONObject]
_Cached = dict[str, tuple[JSONObject, float | None]]  # id → (its spaces or its error, valid until; None: for good)


class Listing:
    """The rows of a catalogue, with the environments' spaces.

    Args:
        spaces: gets `Catalogue.spaces` from a process in which an environment may hang or crash.
        file: the cache of the spaces.
        seconds: a request that has taken this long gets no more spaces; the next request continues.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        spaces: Spaces,
        file: Path,
        *,
        seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.catalogue, self._spaces, self._file = catalogue, spaces, file
        self._seconds, self._clock = seconds, clock

    def rows(self) -> list[JSONObject]:
        """All rows; only environments of `Catalogue.quick` have spaces, `row` gives those of any other."""
        cached = self._complete_cache(self.catalogue.quick())
        return [row | _spaces_of(cached, row["id"]) for row in self.catalogue.rows(self.catalogue.ids())]

    def row(self, env_id: str) -> JSONObject:
        """The row of one environment.

        Raises:
            UnknownEnvironment: there is no such id, or something is missing to make it.
        """
        resolved = self.catalogue.resolve(env_id).id
        cached = self._read_cache()
        if resolved not in cached:
            cached[resolved] = self._describe(resolved)
        (row,) = self.catalogue.rows([resolved])
        return row | _spaces_of(cached, resolved)

    def _complete_cache(self, env_ids: Sequence[str]) -> _Cached:
        """The cached environments, after one request has completed them while the others wait for it."""
        deadline = time.monotonic() + self._seconds
        cached = self._read_cache()
        if cached.keys() >= set(env_ids):
            return cached
        with self._lock(deadline) as is_locked:
            cached = self._read_cache()
            if is_locked:
                self._fill(cached, env_ids, deadline)
        return cached

    def _fill(self, cached: _Cached, env_ids: Sequence[str], deadline: float) -> None:
        try:
            for env_id in env_ids:
                if env_id not in cached and time.monotonic() < deadline:
                    cached[env_id] = self._describe(env_id)
        finally:
            with contextlib.suppress(OSError):  # a full disk: the next request tries again
                write_atomically(self._file, json.dumps({"key": self.catalogue.versions(), "kept": cached}))

    def _describe(self, env_id: str) -> tuple[dict[str, object], float | None]:
        try:
            return self._spaces(env_id, {}), None
        except (EnvironmentFailed, InvalidRequest) as error:
            return {"missing": str(error)}, self._clock() + RETRY_SECONDS

    def _read_cache(self) -> _Cached:
        with contextlib.suppress(
            OSError, ValueError, LookupError, TypeError, AttributeError
        ):  # no file, or a damaged one
            content = json.loads(self._file.read_text())
            if content["key"] == self.catalogue.versions():
                now = self._clock()
                return {env_id: one for env_id, one in content["kept"].items() if one[1] is None or now < one[1]}
        return {}

    @contextlib.contextmanager
    def _lock(self, deadline: float) -> Iterator[bool]:
        """Waits until no other thread or process gets spaces; yields whether that happened in time."""
        while (lock := try_lock(self._file.with_suffix(".lock"))) is None:
            if time.monotonic() >= deadline:
                yield False
                return
            time.sleep(0.05)
        try:
            yield True
        finally:
            os.close(lock)


def _spaces_of(cached: _Cached, env_id: str) -> JSONObject:
    return cached[env_id][0] if env_id in cached else {}
