"""A curve as a picture that stands in a line of text: SVG, without axes, with its range in words."""

from collections.abc import Sequence

WIDTH, HEIGHT, MARGIN = 120, 32, 2
COLOR, DARK = "#0b5cad", "#79b8ff"


def svg(values: Sequence[float]) -> str:
    """An SVG document of 120 x 32. `values`: finite, at least one, at equal distances."""
    low, high = min(values), max(values)
    span = high - low or 1.0
    across = (WIDTH - 2 * MARGIN) / max(1, len(values) - 1)
    points = [
        (MARGIN + index * across, HEIGHT - MARGIN - (value - low) / span * (HEIGHT - 2 * MARGIN))
        for index, value in enumerate(values)
    ]
    if len(points) == 1:
        points.append((WIDTH - MARGIN, points[0][1]))
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    told = f"The return, from {values[0]:.4g} to {values[-1]:.4g}, at most {high:.4g}."
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-labelledby="d"><desc id="d">{told}</desc>'
        f"<style>path {{ stroke: {COLOR}; fill: none; stroke-width: 1.5 }} "
        f"@media (prefers-color-scheme: dark) {{ path {{ stroke: {DARK} }} }}</style>"
        f'<path d="{path}"/></svg>\n'
    )
