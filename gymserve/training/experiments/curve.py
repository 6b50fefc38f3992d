"""Draw a learning curve, as SVG for pages and as PNG otherwise: raw values faint, their running mean bold."""

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
    """Positions of everything in the picture, in pixels from the upper left corner."""

    raw: list[list[tuple[float, float]]]  # runs of points between missing values
    mean: list[list[tuple[float, float]]]
    across: list[tuple[float, str]]  # ticks
    up: list[tuple[float, str]]
    summary: str  # what the picture shows, in words


def svg(title: str, name: str, timesteps: Sequence[float], values: Sequence[float], *, unit: str = "timestep") -> str:
    """Draw an 800 x 400 SVG document; `name` says what the values are, and NaN marks a missing one.

    Args:
        unit: what `timesteps` count, in the singular.
    """
    drawing = _draw(name, timesteps, values, unit)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="t d">',
        f'<title id="t">{escape(title)}</title><desc id="d">{escape(drawing.summary)}</desc>',
        f"<style>text {{ font: 13px sans-serif }} .ink {{ fill: {INK} }} .axis {{ stroke: {INK}; fill: none }} "
        f".raw {{ stroke: {FAINT}; fill: none }} .mean {{ stroke: {STRONG}; fill: none; stroke-width: 2 }} {DARK}</style>",
        f'<text class="ink" x="{LEFT}" y="24">{escape(title)}</text>',
        f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>',
        *(
            f'<text class="ink" x="{x:.0f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{t}</text>'
            for x, t in drawing.across
        ),
        *(f'<text class="ink" x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{t}</text>' for y, t in drawing.up),
        f'<text class="ink" x="{(WIDTH + LEFT) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{unit}s</text>',
    ]
    for kind, pieces in (("raw", drawing.raw), ("mean", drawing.mean)):
        parts += [f'<path class="{kind}" d="{_path(piece)}"/>' for piece in pieces]
    return "\n".join([*parts, "</svg>\n"])


def small(name: str, timesteps: Sequence[float], values: Sequence[float], *, unit: str = "timestep") -> str:
    """Draw the running mean alone, as a 160 x 40 SVG document without axes."""
    drawing = _draw(name, timesteps, values, unit)
    box = f"{LEFT} {TOP - 8} {WIDTH - LEFT - RIGHT} {HEIGHT - TOP - BOTTOM + 16}"
    paths = "".join(
        f'<path class="mean" vector-effect="non-scaling-stroke" d="{_path(piece)}"/>' for piece in drawing.mean
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="160" height="40" preserveAspectRatio="none" '
        f'role="img"><title>{escape(drawing.summary)}</title>'
        f"<style>.mean {{ stroke: {STRONG}; fill: none; stroke-width: 1.5 }} {DARK}</style>{paths}</svg>\n"
    )


def png(title: str, name: str, timesteps: Sequence[float], values: Sequence[float], *, unit: str = "timestep") -> bytes:
    """Draw the same picture as a PNG."""
    drawing = _draw(name, timesteps, values, unit)
    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    draw.text((LEFT, 14), title, INK, font)
    draw.line([(LEFT, TOP), (LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM)], INK)
    for x, text in drawing.across:
        draw.text((x, HEIGHT - BOTTOM + 8), text, INK, font, anchor="ma")
    for y, text in drawing.up:
        draw.text((LEFT - 8, y), text, INK, font, anchor="rm")
    draw.text(((WIDTH + LEFT) / 2, HEIGHT - 22), f"{unit}s", INK, font, anchor="ma")
    for pieces, color, width in ((drawing.raw, FAINT, 1), (drawing.mean, STRONG, 2)):
        for piece in pieces:
            draw.line(piece if len(piece) > 1 else piece * 2, color, width)
    out = io.BytesIO()
    image.save(out, "png", optimize=True)
    return out.getvalue()


def _draw(name: str, timesteps: Sequence[float], values: Sequence[float], unit: str) -> _Drawing:
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

    def pieces(series: Sequence[float]) -> list[list[tuple[float, float]]]:
        runs: list[list[tuple[float, float]]] = [[]]
        for timestep, value in zip(timesteps, series, strict=True):
            if math.isfinite(value):
                runs[-1].append(place(timestep, value))
            elif runs[-1]:
                runs.append([])
        return [piece for piece in runs if piece]

    way = f"from {finite[0]:.4g} to {finite[-1]:.4g}, at most {max(finite):.4g}"
    summary = f"{name} over {start:,.0f} to {end:,.0f} {unit}s: {way}."
    across = [(place(tick, low)[0], f"{tick:,.0f}") for tick in _ticks(start, end)]
    up = [(place(start, tick)[1], f"{tick:.6g}") for tick in _ticks(low, high)]
    return _Drawing(pieces(values), pieces(_smoothed(values)), across, up, summary)


def _smoothed(values: Sequence[float]) -> list[float]:
    """Average each value with those before it in a window."""
    window = max(1, min(WINDOW, len(values) // 10))
    means = []
    for index in range(len(values)):
        part = [value for value in values[max(0, index - window + 1) : index + 1] if math.isfinite(value)]
        means.append(math.fsum(part) / len(part) if part else math.nan)
    return means


def _ticks(low: float, high: float) -> list[float]:
    """Choose four to eight round numbers from `low` to `high`."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)]


def _path(points: list[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in (points if len(points) > 1 else points * 2))
