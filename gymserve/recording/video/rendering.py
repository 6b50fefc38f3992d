"""Renders a journal's episodes into video files: each episode is replayed with a renderer, and its pictures are encoded."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from PIL import Image

from gymserve.environments import Catalogue
from gymserve.environments.foreign import close, pass_on_interrupt
from gymserve.journal import Episode
from gymserve.protocol.errors import EnvironmentFailed, InvalidRequest
from gymserve.protocol.generics import ForeignEnv
from gymserve.recording.video import encoding
from gymserve.recording.video.captions import THUMBNAIL, Caption, Layout, pixels, thumbnail
from gymserve.recording.video.cutting import Cut, cut
from gymserve.recording.video.encoding import VideoEncoder
from gymserve.recording.video.episodes import make_environment, replay

PREVIEW_FRAMES, PREVIEW_RATE = 100, 10  # of the GIF and of the small video, which show the same pictures
WEBM, MP4, GIF, POSTER = "video.webm", "video.mp4", "video.gif", "poster.jpg"
SMALL_MP4, SMALL_JPG = "thumbnail.mp4", "thumbnail.jpg"
ALL_FILES = (WEBM, MP4, GIF, SMALL_MP4, SMALL_JPG, POSTER)
DIFFERS = "the replay is not the recorded run"
Progress = Callable[[int, int], None]  # (frames written, frames planned at most)


class VideoSpec(NamedTuple):
    """What a video shows, and how long it may be.

    Args:
        title: the caption's first line.
        noun: what an episode is called in the caption: "trial" or "episode".
        number: the number of episodes for the caption's "1 of 4"; None: the caption leaves it out.
        seconds: the longest that the video may be.
        work_seconds: processor time for making it; when it is used up, the video ends with the frames made so far.
    """

    title: str
    episodes: Sequence[Episode]
    noun: str = "episode"
    number: int | None = None
    seconds: float = 60.0
    work_seconds: float = 600.0


class VideoMetadata(TypedDict):
    """A video's metadata, stored with it in `media.json`.

    Attributes:
        shown: the numbers of the episodes shown.
        complete: whether all episodes are shown to their ends.
        agrees: whether the whole replay equals the recorded run.
    """

    width: int
    height: int
    frames: int
    frames_per_second: float
    seconds: float
    speed: int
    shown: list[int]
    episodes: int
    complete: bool
    agrees: bool
    work_seconds: float


class VideoFrame(NamedTuple):
    """One frame of a video; `agrees`: whether the replay still equals the recorded run."""

    picture: Image.Image
    caption: Caption
    agrees: bool


def render_video(
    spec: VideoSpec,
    catalogue: Catalogue,
    folder: Path,
    files: Sequence[str] = ALL_FILES,
    *,
    progress: Progress = lambda written, planned: None,
) -> VideoMetadata:
    """Renders the video's files into `folder`, and returns their metadata.

    Args:
        files: names from `ALL_FILES`, or other names with the same endings.

    Raises:
        InvalidRequest: there is no episode, the environment cannot render, or PyAV is not installed.
        EnvironmentFailed: the environment raised an error, or cannot be made.
    """
    if not spec.episodes:
        raise InvalidRequest("there is no episode to show")
    encoding.require_pyav()
    began = time.process_time()
    source = _FrameSource(spec, catalogue, began + spec.work_seconds)
    with contextlib.closing(source.frames()) as frames, _OutputFiles(folder, files, source) as output:
        for frame in frames:
            output.add(frame)
            progress(output.written, source.cut.frames)
    output.finish()
    return {
        "width": output.layout.width,
        "height": output.layout.height,
        "frames": output.written,
        "frames_per_second": float(source.cut.rate),
        "seconds": round(float(output.written / source.cut.rate), 3),
        "speed": source.cut.speed,
        "shown": source.shown,
        "episodes": spec.number or len(spec.episodes),
        "complete": source.complete,
        "agrees": source.agrees,
        "work_seconds": round(time.process_time() - began, 3),
    }


class _FrameSource:
    """Replays the episodes and yields their frames; `cut` is set before the first one."""

    def __init__(self, spec: VideoSpec, catalogue: Catalogue, deadline: float) -> None:
        self.spec, self.catalogue, self.deadline = spec, catalogue, deadline
        self.cut: Cut
        self.yielded = 0
        self.shown: list[int] = []  # numbers of the episodes shown
        self.agrees = True
        self.complete = False  # whether every episode is shown to its end

    def frames(self) -> Generator[VideoFrame, None, None]:
        episodes = self.spec.episodes
        for index in self._shown_indices():
            self.shown.append(episodes[index].number)
            if not (yield from self._episode(episodes[index])):
                return  # out of time
        self.complete = len(self.shown) == len(episodes)

    def _shown_indices(self) -> Iterator[int]:
        env = make_environment(self.spec.episodes[0], self.catalogue, render=True)
        fps = env.metadata.get("render_fps")
        close(env)
        self.cut = cut([len(episode.steps) for episode in self.spec.episodes], fps, self.spec.seconds)
        yield from self.cut.shown

    def _episode(self, episode: Episode) -> Generator[VideoFrame, None, bool]:
        """Yields the episode's frames; returns whether there was time for all of them."""
        env = make_environment(episode, self.catalogue, render=True)
        _use_tracking_camera(env)
        last = len(episode.steps)
        try:
            with contextlib.closing(replay(env, episode)) as replayed:
                for step in replayed:
                    is_last = step.number == last
                    if step.number % self.cut.stride and not is_last:
                        continue
                    ends_here = not is_last and self._must_end()
                    self.agrees = self.agrees and step.agrees
                    text = self._text(episode, step.number, step.total) + (" · cut here" if ends_here else "")
                    frame = VideoFrame(_render(env), self._caption(text, step.agrees), step.agrees)
                    for _ in range(1 + self.cut.hold if is_last or ends_here else 1):
                        self.yielded += 1
                        yield frame
                    if ends_here:
                        return False
        finally:
            close(env)
        return True

    def _must_end(self) -> bool:
        """Whether the video must end with this frame, because its length or its processor time is used up."""
        return self.yielded + 2 + self.cut.hold > self.cut.frames or time.process_time() > self.deadline

    def _text(self, episode: Episode, step: int, total: float) -> str:
        number = f" of {self.spec.number}" if self.spec.number else ""
        speed = f" · {self.cut.speed}x speed" if self.cut.speed > 1 else ""
        return f"{self.spec.noun} {episode.number}{number} · step {step} · return {total:.6g}{speed}"

    def _caption(self, text: str, agrees: bool) -> Caption:
        return Caption(self.spec.title, text, "" if agrees else DIFFERS)


def _use_tracking_camera(env: ForeignEnv) -> None:
    """Selects the tracking camera of Gymnasium's MuJoCo models, so that walkers do not leave the picture."""
    renderer: Any = getattr(env.unwrapped, "mujoco_renderer", None)  # Any: mujoco may be missing
    if getattr(renderer, "camera_id", None) == -1 and "trackbodyid" not in (renderer.default_cam_config or {}):
        with contextlib.suppress(AttributeError, KeyError):  # the model has no such camera
            renderer.camera_id = env.unwrapped.model.camera("track").id


def _render(env: ForeignEnv) -> Image.Image:
    try:
        return pixels(env.render())
    except BaseException as error:
        pass_on_interrupt(error)
        raise EnvironmentFailed(f"the environment cannot be rendered: {type(error).__name__}") from error


class _OutputFiles:
    """The files of one video; the first frame decides their size."""

    def __init__(self, folder: Path, files: Sequence[str], source: _FrameSource) -> None:
        self.folder, self.files, self.source = folder, files, source
        self.written = 0
        self.layout: Layout
        self._encoders: list[VideoEncoder] = []
        self._small_encoder: VideoEncoder | None = None
        self._previews: list[Image.Image] = []
        self._open = contextlib.ExitStack()
        self._still: VideoFrame | None = None  # for the poster and the thumbnail

    def __enter__(self) -> "_OutputFiles":
        return self

    def __exit__(self, *exception: Any) -> None:  # Any: passed on
        self._open.__exit__(*exception)

    def add(self, frame: VideoFrame) -> None:
        planned = self.source.cut.frames
        if self.written == 0:
            self._open_encoders(frame)
        image = self.layout.draw(frame.picture, frame.caption)
        for encoder in self._encoders:
            encoder.add(image)
        if self.written % max(1, -(-planned // PREVIEW_FRAMES)) == 0:
            if GIF in self.files:
                self._previews.append(encoding.gif_picture(image))
            if self._small_encoder is not None:
                self._small_encoder.add(thumbnail(frame.picture, alarm=not frame.agrees))
        if self.written <= planned // 2:
            self._still = frame
        self.written += 1

    def _open_encoders(self, first: VideoFrame) -> None:
        self.layout = Layout(first.picture)
        size = {"width": self.layout.width, "height": self.layout.height}
        rate = self.source.cut.rate
        for name in self.files:
            path = self.folder / name
            if name == SMALL_MP4:
                small = {"width": THUMBNAIL[0], "height": THUMBNAIL[1]}
                encoder = VideoEncoder(path, **small, rate=min(rate, type(rate)(PREVIEW_RATE)))
                self._small_encoder = self._open.enter_context(encoder)
            elif path.suffix in encoding.FORMATS:
                self._encoders.append(self._open.enter_context(VideoEncoder(path, **size, rate=rate)))

    def finish(self) -> None:
        """Writes the files that are not written frame by frame: the GIF, the thumbnail and the poster."""
        if GIF in self.files:
            rate = min(float(self.source.cut.rate), PREVIEW_RATE)
            encoding.write_gif(self.folder / GIF, self._previews, rate=rate)
        if self._still is None:
            return
        if SMALL_JPG in self.files:
            small = thumbnail(self._still.picture, alarm=not self._still.agrees)
            small.save(self.folder / SMALL_JPG, quality=85)
        if POSTER in self.files:
            self.layout.draw(self._still.picture, self._still.caption).save(self.folder / POSTER, quality=85)
