"""Pictures one after another into files: WebM, MP4, GIF. No file tells when, where or of what it was made."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from PIL import Image

from gymserve.protocol.errors import InvalidRequest

try:
    import av
except ImportError:  # the extra is not installed
    av = None  # type: ignore[assignment]

GIF_WIDTH = 320
GIF_COLOURS = 64


class Codec(NamedTuple):
    """`encoders`: the first that PyAV has is taken."""

    encoders: tuple[str, ...]
    options: dict[str, str]


VP9 = Codec(("libvpx-vp9",), {"crf": "34", "b:v": "0", "deadline": "realtime", "cpu-used": "6"})
# With its macroblock tree, x264 lets memory beyond a picture's edge decide, and the same pictures give other files each time.
H264 = Codec(("libx264", "libopenh264"), {"crf": "25", "preset": "veryfast", "x264-params": "mbtree=0"})
CODECS = {".webm": VP9, ".mp4": H264}


def check() -> None:
    """Raises: InvalidRequest: videos cannot be made here."""
    if av is None:
        raise InvalidRequest("videos need PyAV: pip install 'gymserve[media]'")


class Movie:
    """A file that pictures of one size are added to. Its name's end says what it is: .webm (VP9) or .mp4 (H.264).

    Args:
        rate: frames a second.

    Raises:
        InvalidRequest: videos cannot be made here.
    """

    def __init__(self, path: Path, *, width: int, height: int, rate: Fraction) -> None:
        check()
        codec = CODECS[path.suffix]
        name = next((each for each in codec.encoders if _has(each)), None)
        if name is None:
            raise InvalidRequest(f"PyAV has none of the encoders {', '.join(codec.encoders)}")
        # Without bitexact the file names the encoder's version; faststart lets a browser begin before it has all of it.
        options = {"fflags": "+bitexact"} | ({"movflags": "+faststart"} if path.suffix == ".mp4" else {})
        self._container: Any = av.open(str(path), "w", options=options)
        options = {**codec.options, "flags": "+bitexact"} if name != "libopenh264" else {}
        stream: Any = self._container.add_stream(name, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = max(1, round(rate * 5))
        stream.codec_context.thread_count = 1  # a video may take its time
        self._stream = stream

    def add(self, picture: Image.Image) -> None:
        frame = av.VideoFrame.from_image(picture)
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def __enter__(self) -> "Movie":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Completes the file; after an error it is left as it is."""
        if kind is None:
            for packet in self._stream.encode():
                self._container.mux(packet)
        self._container.close()


def _has(encoder: str) -> bool:
    try:
        av.codec.Codec(encoder, "w")
    except ValueError:  # PyAV's own kind of it
        return False
    return True


def shrunk(picture: Image.Image) -> Image.Image:
    """A picture as a GIF is to hold it."""
    if picture.width > GIF_WIDTH:
        height = round(picture.height * GIF_WIDTH / picture.width)
        picture = picture.resize((GIF_WIDTH, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return picture.quantize(GIF_COLOURS, dither=Image.Dither.NONE)


def write_gif(path: Path, pictures: Sequence[Image.Image], *, rate: float) -> None:
    """A GIF without end, of pictures that were `shrunk`."""
    first, *others = pictures
    duration = max(20, round(100 / rate) * 10)  # ms; browsers slow down what is faster
    first.save(path, save_all=True, append_images=others, duration=duration, loop=0, optimize=False)
