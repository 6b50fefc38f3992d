"""Encodes pictures as WebM, MP4 and GIF. The files' metadata does not reveal when, where or from what they were made."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from PIL import Image

from gymserve.protocol.errors import InvalidRequest

try:
    import av
except ImportError:  # the `media` extra is not installed
    av = None  # type: ignore[assignment]  # mypy expects a module here

GIF_WIDTH = 320
GIF_COLOURS = 64


class VideoFormat(NamedTuple):
    """A video format; the first of its `encoders` that PyAV has is used."""

    encoders: tuple[str, ...]
    options: dict[str, str]


VP9 = VideoFormat(("libvpx-vp9",), {"crf": "34", "b:v": "0", "deadline": "realtime", "cpu-used": "6"})
# With its macroblock tree, x264 reads memory beyond a picture's edge, so the same pictures give a different file each time.
H264 = VideoFormat(("libx264", "libopenh264"), {"crf": "25", "preset": "veryfast", "x264-params": "mbtree=0"})
FORMATS = {".webm": VP9, ".mp4": H264}


def require_pyav() -> None:
    """Checks that videos can be made here.

    Raises:
        InvalidRequest: PyAV is not installed.
    """
    if av is None:
        raise InvalidRequest("videos need PyAV: pip install 'gymserve[media]'")


class VideoEncoder:
    """Encodes pictures of one size into a file, whose suffix selects the format: .webm (VP9) or .mp4 (H.264).

    Args:
        rate: frames per second.

    Raises:
        InvalidRequest: PyAV is not installed, or has no encoder for the format.
    """

    def __init__(self, path: Path, *, width: int, height: int, rate: Fraction) -> None:
        require_pyav()
        video_format = FORMATS[path.suffix]
        name = next((each for each in video_format.encoders if _has(each)), None)
        if name is None:
            raise InvalidRequest(f"PyAV has none of the encoders {', '.join(video_format.encoders)}")
        # Without bitexact, the file names the encoder's version; with faststart, a browser can play it while downloading.
        options = {"fflags": "+bitexact"} | ({"movflags": "+faststart"} if path.suffix == ".mp4" else {})
        self._container = av.open(str(path), "w", options=options)
        options = {**video_format.options, "flags": "+bitexact"} if name != "libopenh264" else {}
        stream: Any = self._container.add_stream(name, rate=rate, options=options)  # Any: PyAV types it for audio too
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = max(1, round(rate * 5))
        stream.codec_context.thread_count = 1  # leave the other processors to more urgent work
        self._stream = stream

    def add(self, picture: Image.Image) -> None:
        frame = av.VideoFrame.from_image(picture)
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def __enter__(self) -> "VideoEncoder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Completes the file; after an error, only closes it."""
        if kind is None:
            for packet in self._stream.encode():
                self._container.mux(packet)
        self._container.close()


def _has(encoder: str) -> bool:
    try:
        av.codec.Codec(encoder, "w")
    except ValueError:  # PyAV's UnknownCodecError is a ValueError
        return False
    return True


def gif_picture(picture: Image.Image) -> Image.Image:
    """Scales a picture to the size of our GIFs, and reduces its colours."""
    if picture.width > GIF_WIDTH:
        height = round(picture.height * GIF_WIDTH / picture.width)
        picture = picture.resize((GIF_WIDTH, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return picture.quantize(GIF_COLOURS, dither=Image.Dither.NONE)


def write_gif(path: Path, pictures: Sequence[Image.Image], *, rate: float) -> None:
    """Writes a looping GIF of pictures from `gif_picture`."""
    first, *others = pictures
    duration = max(20, round(100 / rate) * 10)  # ms; browsers slow down shorter frames
    first.save(path, save_all=True, append_images=others, duration=duration, loop=0, optimize=False)
