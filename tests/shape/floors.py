"""The layers of the product: a folder is above all folders that it imports. `python -m tests.shape.floors` draws them."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

TABLE = Path(__file__).with_name("arrows.toml")


def table() -> dict[str, set[str]]:
    """Folder → the folders from which it may import."""
    return {folder: set(others) for folder, others in tomllib.loads(TABLE.read_text()).items()}


def floors(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """The folders by floor, the lowest first; the arrows must have no circle."""
    numbers: dict[str, int] = {}

    def number(folder: str) -> int:
        if folder not in numbers:
            numbers[folder] = 1 + max(map(number, arrows[folder]), default=0)
        return numbers[folder]

    highest = max(map(number, arrows))
    return [sorted(each for each in arrows if numbers[each] == floor) for floor in range(1, highest + 1)]


def draw(arrows: Mapping[str, set[str]]) -> str:
    """The floors as text, the highest first, without the prefix `gymserve/`."""
    lines = []
    for number, folders in reversed([*enumerate(floors(arrows), 1)]):
        line = f"{number:>2} "
        for name in (folder.removeprefix("gymserve/") for folder in folders):
            if len(line) + 2 + len(name) > 100:
                lines.append(line)
                line = "   "
            line += f"  {name}"
        lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    print(draw(table()))
