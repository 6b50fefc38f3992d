"""How the metrics of programs that are not ours are read, while they are being written."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Line = tuple[int, dict[str, float]]


class Series:
    """A JSON file of lists that grow, rewritten in place: half a file is no news, and each value is told once."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._told: dict[str, int] = {}

    def read(self) -> Iterator[Line]:
        for file in sorted(self.folder.rglob(self.name)):
            try:
                content = json.loads(file.read_text())
            except (OSError, ValueError):
                continue  # it is being written
            if isinstance(content, dict):
                yield from self._new(content)

    def _new(self, content: dict[str, Any]) -> Iterator[Line]:
        for name, values in content.items():
            timesteps = self._timesteps(name, content)
            if timesteps is None or not isinstance(values, list):
                continue
            known = self._told.get(name, 0)
            pairs = list(zip(timesteps, values, strict=False))
            for timestep, value in pairs[known:]:
                if (number := plain(value)) is not None and (step := plain(timestep)) is not None:
                    yield int(step), {name: number}
            self._told[name] = max(known, len(pairs))

    def _timesteps(self, name: str, content: dict[str, Any]) -> Any:
        raise NotImplementedError


class Sacred(Series):
    """sacred's `info.json`: `{name: [values], name_T: [timesteps]}`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "info.json")

    def _timesteps(self, name: str, content: dict[str, Any]) -> Any:
        found = content.get(f"{name}_T")
        return found if isinstance(found, list) else None


class Ptf(Series):
    """PTF's `out.json`: lists over the list `episode`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "out.json")

    def _timesteps(self, name: str, content: dict[str, Any]) -> Any:
        if name == "episode":
            return None
        episodes = content.get("episode")
        return episodes if isinstance(episodes, list) else range(2**31)


class Lines:
    """`metrics.jsonl`, which a program appends to: `{"timestep": 1, "reward": 2.5}` a line."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "metrics.jsonl"
        self._read = 0

    def read(self) -> Iterator[Line]:
        try:
            with open(self.file, "rb") as file:
                file.seek(self._read)
                data = file.read()
        except OSError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            try:
                content = json.loads(line)
                step = plain(content.pop("timestep"))
            except (ValueError, AttributeError, KeyError, TypeError):
                continue
            values = {name: number for name, value in content.items() if (number := plain(value)) is not None}
            if step is not None and values:
                yield int(step), values


READERS = {"sacred": Sacred, "ptf": Ptf, "lines": Lines}


def plain(value: Any) -> float | None:
    """A number, also as jsonpickle writes those of numpy; None: it is none."""
    if isinstance(value, dict) and "py/object" in value:
        value = value.get("value")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value)
