"""The catalogue as it is listed: each environment's row, with its spaces, which are kept in a file until versions change."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gymserve.environments.catalogue import Catalogue
from gymserve.protocol.errors import EnvironmentFailed, InvalidRequest
from gymserve.system.files import write_whole
from gymserve.system.locks import try_lock

RETRY_SECONDS = 600.0  # what an environment failed of may have passed by then, such as a machine without memory
Spaces = Callable[[str, dict[str, Any]], dict[str, Any]]
_Kept = dict[str, tuple[dict[str, Any], float | None]]  # id → what it told, believed until (None: for good)


class Listing:
    """Args:
    spaces: what `Catalogue.spaces` tells, found out where an environment may hang or end its process.
    file: of what it told.
    seconds: a request that has taken so long asks for no more spaces; the next one goes on.
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

    def rows(self) -> list[dict[str, Any]]:
        """All rows; those of which `Catalogue.quick` says nothing are without spaces, which `row` tells of each."""
        kept = self._described(self.catalogue.quick())
        return [row | _told(kept, row["id"]) for row in self.catalogue.rows(self.catalogue.ids())]

    def row(self, env_id: str) -> dict[str, Any]:
        """One row.

        Raises:
            UnknownEnvironment: there is no such id, or something is missing to make it.
        """
        found = self.catalogue.resolve(env_id).id
        kept = self._kept()
        if found not in kept:
            kept[found] = self._asked(found)
        (row,) = self.catalogue.rows([found])
        return row | _told(kept, found)

    def _described(self, env_ids: Sequence[str]) -> _Kept:
        """What is kept of environments, once the rest was asked for: by one request, while others wait for it."""
        deadline = time.monotonic() + self._seconds
        kept = self._kept()
        if kept.keys() >= set(env_ids):
            return kept
        with self._turn(deadline) as came:
            kept = self._kept()
            if came:
                self._complete(kept, env_ids, deadline)
        return kept

    def _complete(self, kept: _Kept, env_ids: Sequence[str], deadline: float) -> None:
        try:
            for env_id in env_ids:
                if env_id not in kept and time.monotonic() < deadline:
                    kept[env_id] = self._asked(env_id)
        finally:
            with contextlib.suppress(OSError):  # a full disk: the next request asks again
                write_whole(self._file, json.dumps({"key": self.catalogue.versions(), "kept": kept}))

    def _asked(self, env_id: str) -> tuple[dict[str, Any], float | None]:
        try:
            return self._spaces(env_id, {}), None
        except (EnvironmentFailed, InvalidRequest) as error:
            return {"missing": str(error)}, self._clock() + RETRY_SECONDS

    def _kept(self) -> _Kept:
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):  # none yet, or of no use
            found = json.loads(self._file.read_text())
            if found["key"] == self.catalogue.versions():
                now = self._clock()
                return {env_id: one for env_id, one in found["kept"].items() if one[1] is None or now < one[1]}
        return {}

    @contextlib.contextmanager
    def _turn(self, deadline: float) -> Iterator[bool]:
        """Waits until no other thread or process asks for spaces; tells whether that came in time."""
        while (lock := try_lock(self._file.with_suffix(".lock"))) is None:
            if time.monotonic() >= deadline:
                yield False
                return
            time.sleep(0.05)
        try:
            yield True
        finally:
            os.close(lock)


def _told(kept: _Kept, env_id: str) -> dict[str, Any]:
    return kept[env_id][0] if env_id in kept else {}
