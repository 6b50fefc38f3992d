"""A learning curve as a picture: SVG for pages, PNG for everything else. Raw values are faint, their running mean is strong."""

import io
import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 800, 400
LEFT, RIGHT, TOP, BOTTOM = 80, 20, 40, 50  # margins
WINDOW = 20  # points of the running mean, at most a tenth of all
INK, FAINT, STRONG, PAPER = "#24292f", "#8cb4e8", "#0b5cad", "#ffffff"
DARK = (
    "@media (prefers-color-scheme: dark) { .ink { fill: #e6edf3 } .axis { stroke: #8b949e } "
    ".raw { stroke: #3f5f86 } .mean { stroke: #79b8ff } }"
)


class _Drawing(NamedTuple):
    """Where everything is, in pixels from the upper left corner."""

    raw: list[list[tuple[float, float]]]  # pieces between values that are missing
    mean: list[list[tuple[float, float]]]
    across: list[tuple[float, str]]  # ticks
    up: list[tuple[float, str]]
    told: str  # what it shows, in words


def svg(title: str, name: str, timesteps: Sequence[float], values: Sequence[float]) -> str:
    """An SVG document of 800 x 400. `name`: what the values are; NaN: one is missing."""
    drawing = _draw(name, timesteps, values)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="t d">',
        f'<title id="t">{escape(title)}</title><desc id="d">{escape(drawing.told)}</desc>',
        f"<style>text {{ font: 13px sans-serif }} .ink {{ fill: {INK} }} .axis {{ stroke: {INK}; fill: none }} "
        f".raw {{ stroke: {FAINT}; fill: none }} .mean {{ stroke: {STRONG}; fill: none; stroke-width: 2 }} {DARK}</style>",
        f'<text class="ink" x="{LEFT}" y="24">{escape(title)}</text>',
        f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>',
        *(
            f'<text class="ink" x="{x:.0f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{t}</text>'
            for x, t in drawing.across
        ),
        *(f'<text class="ink" x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{t}</text>' for y, t in drawing.up),
        f'<text class="ink" x="{(WIDTH + LEFT) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">timesteps</text>',
    ]
    for kind, pieces in (("raw", drawing.raw), ("mean", drawing.mean)):
        parts += [f'<path class="{kind}" d="{_path(piece)}"/>' for piece in pieces]
    return "\n".join([*parts, "</svg>\n"])


def small(name: str, timesteps: Sequence[float], values: Sequence[float]) -> str:
    """The running mean alone, as an SVG document of 160 x 40 without axes."""
    drawing = _draw(name, timesteps, values)
    box = f"{LEFT} {TOP - 8} {WIDTH - LEFT - RIGHT} {HEIGHT - TOP - BOTTOM + 16}"
    paths = "".join(
        f'<path class="mean" vector-effect="non-scaling-stroke" d="{_path(piece)}"/>' for piece in drawing.mean
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="160" height="40" preserveAspectRatio="none" '
        f'role="img"><title>{escape(drawing.told)}</title>'
        f"<style>.mean {{ stroke: {STRONG}; fill: none; stroke-width: 1.5 }} {DARK}</style>{paths}</svg>\n"
    )


def png(title: str, name: str, timesteps: Sequence[float], values: Sequence[float]) -> bytes:
    """The same as a PNG."""
    drawing = _draw(name, timesteps, values)
    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    draw.text((LEFT, 14), title, INK, font)
    draw.line([(LEFT, TOP), (LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM)], INK)
    for x, text in drawing.across:
        draw.text((x, HEIGHT - BOTTOM + 8), text, INK, font, anchor="ma")
    for y, text in drawing.up:
        draw.text((LEFT - 8, y), text, INK, font, anchor="rm")
    draw.text(((WIDTH + LEFT) / 2, HEIGHT - 22), "timesteps", INK, font, anchor="ma")
    for pieces, color, width in ((drawing.raw, FAINT, 1), (drawing.mean, STRONG, 2)):
        for piece in pieces:
            draw.line(piece if len(piece) > 1 else piece * 2, color, width)
    out = io.BytesIO()
    image.save(out, "png", optimize=True)
    return out.getvalue()


def _draw(name: str, timesteps: Sequence[float], values: Sequence[float]) -> _Drawing:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return _Drawing([], [], [], [], f"There are no values of {name} yet.")
    low, high = min(finite), max(finite)
    if low == high:
        low, high = low - 1.0, high + 1.0
    start, end = min(timesteps), max(max(timesteps), min(timesteps) + 1)

    def place(timestep: float, value: float) -> tuple[float, float]:
        x = LEFT + (timestep - start) / (end - start) * (WIDTH - LEFT - RIGHT)
        return x, HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def pieces(these: Sequence[float]) -> list[list[tuple[float, float]]]:
        found: list[list[tuple[float, float]]] = [[]]
        for timestep, value in zip(timesteps, these, strict=True):
            if math.isfinite(value):
                found[-1].append(place(timestep, value))
            elif found[-1]:
                found.append([])
        return [piece for piece in found if piece]

    way = f"from {finite[0]:.4g} to {finite[-1]:.4g}, at most {max(finite):.4g}"
    told = f"{name} over {start:,.0f} to {end:,.0f} timesteps: {way}."
    across = [(place(tick, low)[0], f"{tick:,.0f}") for tick in _ticks(start, end)]
    up = [(place(start, tick)[1], f"{tick:.6g}") for tick in _ticks(low, high)]
    return _Drawing(pieces(values), pieces(_smoothed(values)), across, up, told)


def _smoothed(values: Sequence[float]) -> list[float]:
    """Means of each value and those before it."""
    window = max(1, min(WINDOW, len(values) // 10))
    found = []
    for index in range(len(values)):
        part = [value for value in values[max(0, index - window + 1) : index + 1] if math.isfinite(value)]
        found.append(math.fsum(part) / len(part) if part else math.nan)
    return found


def _ticks(low: float, high: float) -> list[float]:
    """Some four to eight round numbers from `low` to `high`."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)]


def _path(points: list[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in (points if len(points) > 1 else points * 2))
