"""Films: the videos, pictures and facts of a journal's episodes, made by replaying them with a renderer."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from gymserve.environments import Catalogue
from gymserve.environments.foreign import close, pass_on_interrupt
from gymserve.journal import Episode
from gymserve.protocol.errors import EnvironmentFailed, InvalidRequest
from gymserve.recording.video import encoding
from gymserve.recording.video.captions import THUMBNAIL, Caption, Page, pixels, thumbnail
from gymserve.recording.video.cutting import Cut, cut
from gymserve.recording.video.encoding import Movie
from gymserve.recording.video.episodes import made, moments

PREVIEW_FRAMES, PREVIEW_RATE = 100, 10  # of the GIF and of the small video, which show the same
WEBM, MP4, GIF, POSTER = "video.webm", "video.mp4", "video.gif", "poster.jpg"
SMALL_MP4, SMALL_JPG = "thumbnail.mp4", "thumbnail.jpg"
ALL = (WEBM, MP4, GIF, SMALL_MP4, SMALL_JPG, POSTER)
DIFFERS = "the replay is not the recorded run"
Progress = Callable[[int, int], None]  # (frames made, of at most)


class Shot(NamedTuple):
    """One picture of a film."""

    picture: Image.Image
    caption: Caption
    agrees: bool


class Film(NamedTuple):
    """What is filmed.

    Args:
        title: stands below each picture.
        noun: what the episodes are called: "trial" or "episode".
        number: how many there are of them in all; None: that is not said.
        seconds: the video is no longer.
        work_seconds: making it takes no more of the processor's time; what is there then is the video.
    """

    title: str
    episodes: Sequence[Episode]
    noun: str = "episode"
    number: int | None = None
    seconds: float = 60.0
    work_seconds: float = 600.0


def shoot(
    film: Film,
    catalogue: Catalogue,
    folder: Path,
    files: Sequence[str] = ALL,
    *,
    progress: Progress = lambda made, number: None,
) -> dict[str, Any]:
    """Makes the film's files in `folder`, and returns what there is to tell of them.

    Args:
        files: which of `ALL`, or other names that end like them.

    Raises:
        InvalidRequest: there is no episode, the environment makes no pictures, or PyAV is not installed.
        EnvironmentFailed: the environment raised an error, or cannot be made.
    """
    if not film.episodes:
        raise InvalidRequest("there is no episode to be seen")
    encoding.check()
    began = time.process_time()
    reel = _Reel(film, catalogue, began + film.work_seconds)
    with contextlib.closing(reel.shots()) as shots, _Set(folder, files, reel) as studio:
        for shot in shots:
            studio.take(shot)
            progress(studio.frames, reel.plan.frames)
    studio.finish()
    return {
        "width": studio.page.width,
        "height": studio.page.height,
        "frames": studio.frames,
        "frames_per_second": float(reel.plan.rate),
        "seconds": round(float(studio.frames / reel.plan.rate), 3),
        "speed": reel.plan.speed,
        "shown": reel.shown,
        "episodes": film.number or len(film.episodes),
        "complete": reel.complete,
        "agrees": reel.agrees,
        "work_seconds": round(time.process_time() - began, 3),
    }


class _Reel:
    """The pictures of a film, one after another; `plan` is there with the first."""

    def __init__(self, film: Film, catalogue: Catalogue, deadline: float) -> None:
        self.film, self.catalogue, self.deadline = film, catalogue, deadline
        self.plan: Cut
        self.frames = 0
        self.shown: list[int] = []  # the episodes' numbers
        self.agrees = True
        self.complete = False  # all that was planned is shown

    def shots(self) -> Generator[Shot, None, None]:
        film = self.film
        for index in self._places():
            self.shown.append(film.episodes[index].number)
            if not (yield from self._episode(film.episodes[index])):
                return  # for want of time
        self.complete = len(self.shown) == len(film.episodes)

    def _places(self) -> Iterator[int]:
        env = made(self.film.episodes[0], self.catalogue, render=True)
        fps = env.metadata.get("render_fps")
        close(env)
        self.plan = cut([len(episode.steps) for episode in self.film.episodes], fps, self.film.seconds)
        yield from self.plan.shown

    def _episode(self, episode: Episode) -> Generator[Shot, None, bool]:
        """The episode's pictures; returns whether there was time for all."""
        env = made(episode, self.catalogue, render=True)
        _follow(env)
        last = len(episode.steps)
        try:
            with contextlib.closing(moments(env, episode)) as played:
                for moment in played:
                    ends = moment.step == last
                    if moment.step % self.plan.stride and not ends:
                        continue
                    is_cut = not ends and self._is_cut()
                    self.agrees = self.agrees and moment.agrees
                    text = self._text(episode, moment.step, moment.total) + (" · cut here" if is_cut else "")
                    shot = Shot(_rendered(env), self._caption(text, moment.agrees), moment.agrees)
                    for _ in range(1 + self.plan.hold if ends or is_cut else 1):
                        self.frames += 1
                        yield shot
                    if is_cut:
                        return False
        finally:
            close(env)
        return True

    def _is_cut(self) -> bool:
        """Whether the film must end with this picture: its length, or the time for making it, is used up."""
        return self.frames + 2 + self.plan.hold > self.plan.frames or time.process_time() > self.deadline

    def _text(self, episode: Episode, step: int, total: float) -> str:
        film = self.film
        number = f" of {film.number}" if film.number else ""
        fast = f" · {self.plan.speed}x speed" if self.plan.speed > 1 else ""
        return f"{film.noun} {episode.number}{number} · step {step} · return {total:.6g}{fast}"

    def _caption(self, text: str, agrees: bool) -> Caption:
        return Caption(self.film.title, text, "" if agrees else DIFFERS)


def _follow(env: Any) -> None:
    """Has Gymnasium's MuJoCo walkers filmed by their model's tracking camera where they would walk out of the picture."""
    renderer: Any = getattr(env.unwrapped, "mujoco_renderer", None)
    if getattr(renderer, "camera_id", None) == -1 and "trackbodyid" not in (renderer.default_cam_config or {}):
        with contextlib.suppress(AttributeError, KeyError):  # it has no such camera
            renderer.camera_id = env.unwrapped.model.camera("track").id


def _rendered(env: Any) -> Image.Image:
    try:
        return pixels(env.render())
    except BaseException as error:
        pass_on_interrupt(error)
        raise EnvironmentFailed(f"the environment cannot be rendered: {type(error).__name__}") from error


class _Set:
    """The files that are made; the first shot says how large they are."""

    def __init__(self, folder: Path, files: Sequence[str], reel: _Reel) -> None:
        self.folder, self.files, self.reel = folder, files, reel
        self.frames = 0
        self.page: Page
        self._movies: list[Movie] = []
        self._small: Movie | None = None
        self._previews: list[Image.Image] = []
        self._open = contextlib.ExitStack()
        self._still: Shot | None = None

    def __enter__(self) -> "_Set":
        return self

    def __exit__(self, *what: Any) -> None:
        self._open.__exit__(*what)

    def take(self, shot: Shot) -> None:
        plan = self.reel.plan
        if self.frames == 0:
            self._begin(shot)
        frame = self.page.frame(shot.picture, shot.caption)
        for movie in self._movies:
            movie.add(frame)
        if self.frames % max(1, -(-plan.frames // PREVIEW_FRAMES)) == 0:
            if GIF in self.files:
                self._previews.append(encoding.shrunk(frame))
            if self._small is not None:
                self._small.add(thumbnail(shot.picture, alarm=not shot.agrees))
        if self.frames <= plan.frames // 2:
            self._still = shot
        self.frames += 1

    def _begin(self, shot: Shot) -> None:
        self.page = Page(shot.picture)
        size = {"width": self.page.width, "height": self.page.height}
        rate = self.reel.plan.rate
        for name in self.files:
            path = self.folder / name
            if name == SMALL_MP4:
                small = {"width": THUMBNAIL[0], "height": THUMBNAIL[1]}
                self._small = self._open.enter_context(Movie(path, **small, rate=min(rate, type(rate)(PREVIEW_RATE))))
            elif path.suffix in encoding.CODECS:
                self._movies.append(self._open.enter_context(Movie(path, **size, rate=rate)))

    def finish(self) -> None:
        """Writes what is not written picture by picture."""
        if GIF in self.files:
            rate = min(float(self.reel.plan.rate), PREVIEW_RATE)
            encoding.write_gif(self.folder / GIF, self._previews, rate=rate)
        if self._still is None:
            return
        if SMALL_JPG in self.files:
            small = thumbnail(self._still.picture, alarm=not self._still.agrees)
            small.save(self.folder / SMALL_JPG, quality=85)
        if POSTER in self.files:
            self.page.frame(self._still.picture, self._still.caption).save(self.folder / POSTER, quality=85)
