"""Frames: an environment's picture, scaled, with a caption bar below it."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LEAST_WIDTH, MOST_WIDTH, MOST_HEIGHT = 400, 640, 640
BAR = 48
THUMBNAIL = (268, 200)  # width and height that the old grader's challenge server expects
PAPER, INK, SOFT = (18, 22, 29), (240, 243, 247), (168, 178, 192)
ALARM = (148, 28, 12)
_SIZES = range(15, 7, -1)  # font sizes in pixels; the largest that fits is used


class Caption(NamedTuple):
    """The text below a picture; a `warning` is shown in red instead of the title."""

    title: str
    text: str
    warning: str = ""


def pixels(rendered: object) -> Image.Image:
    """Converts what an environment rendered into a picture.

    Raises:
        ValueError: its shape is not (height, width, 3) or (height, width).
    """
    array = np.asarray(rendered)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise ValueError(f"a picture is (height, width, 3) uint8, not {array.shape} {array.dtype}")
    return Image.fromarray(np.ascontiguousarray(array, np.uint8)).convert("RGB")


class Layout:
    """Draws frames of one size, which the first picture decides: small ones are enlarged by a whole number, large ones reduced.

    Attributes:
        width, height: of a frame, in pixels; even, as encoders require.
    """

    def __init__(self, first: Image.Image) -> None:
        width, height = first.size
        if width < LEAST_WIDTH:
            scale = float(max(1, min(-(-LEAST_WIDTH // width), MOST_HEIGHT // height)))
        else:
            scale = min(1.0, MOST_WIDTH / width, MOST_HEIGHT / height)
        self._inner = (max(2, round(width * scale)) & ~1, max(2, round(height * scale)) & ~1)
        self.width, self.height = max(self._inner[0], LEAST_WIDTH // 2), self._inner[1] + BAR
        self._fonts = [ImageFont.load_default(size) for size in _SIZES]

    def draw(self, picture: Image.Image, caption: Caption) -> Image.Image:
        """Draws the picture above its caption."""
        frame = Image.new("RGB", (self.width, self.height), PAPER)
        fitted = _fit(picture, self._inner)
        frame.paste(fitted, ((self.width - fitted.width) // 2, (self._inner[1] - fitted.height) // 2))
        draw = ImageDraw.Draw(frame)
        top = self._inner[1]
        if caption.warning:
            draw.rectangle((0, top, self.width, top + BAR // 2 - 1), fill=ALARM)
        self._write(draw, top + BAR // 4, caption.warning or caption.title, INK)
        self._write(draw, top + BAR * 3 // 4 - 2, caption.text, INK if caption.warning else SOFT)
        return frame

    def _write(self, draw: ImageDraw.ImageDraw, middle: int, text: str, colour: tuple[int, int, int]) -> None:
        fits = (font for font in self._fonts if draw.textlength(text, font) <= self.width - 16)
        draw.text((8, middle), text, colour, next(fits, self._fonts[-1]), anchor="lm")


def thumbnail(picture: Image.Image, *, alarm: bool) -> Image.Image:
    """The picture alone in 268×200, with a red border if the replay differs from the graded run."""
    small = Image.new("RGB", THUMBNAIL, PAPER)
    fitted = _fit(picture, THUMBNAIL)
    small.paste(fitted, ((THUMBNAIL[0] - fitted.width) // 2, (THUMBNAIL[1] - fitted.height) // 2))
    if alarm:
        ImageDraw.Draw(small).rectangle((0, 0, THUMBNAIL[0] - 1, THUMBNAIL[1] - 1), outline=ALARM, width=4)
    return small


def _fit(picture: Image.Image, room: tuple[int, int]) -> Image.Image:
    """The picture, scaled to fit into `room` with its aspect ratio; enlarged without blur."""
    scale = min(room[0] / picture.width, room[1] / picture.height)
    size = (min(room[0], max(1, round(picture.width * scale))), min(room[1], max(1, round(picture.height * scale))))
    if size == picture.size:
        return picture
    whole = scale >= 1 and float(scale).is_integer()
    return picture.resize(size, Image.Resampling.NEAREST if whole else Image.Resampling.BILINEAR, reducing_gap=2.0)
