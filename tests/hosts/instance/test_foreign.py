"""Whatever an environment raises or returns, its agent gets a clear error that names it."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gymserve.environments import Catalogue
from gymserve.environments.foreign import MOST_CHARACTERS
from gymserve.grader.proofs.verification import verify
from gymserve.hosts.instance import revival, twin
from gymserve.hosts.instance.answers import check_options
from gymserve.hosts.instance.live import LiveInstance
from gymserve.journal import episodes_of, read
from gymserve.protocol.errors import Conflict, EnvironmentFailed, GymserveError, InvalidRequest
from gymserve.protocol.recipe import Recipe, Trial, Wrapper
from gymserve.recording.video.episodes import make_environment, replay
from tests.support.environments.foreign import OLD, RAISED, Foreign

CATALOGUE = Catalogue(["tests.support.environments.foreign"])
PULSE = memoryview(bytearray(16)).cast("Q")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An instance's folder; SIGINT is ignored meanwhile, as in hosts."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield tmp_path / "instances" / "s0-token"
    signal.signal(signal.SIGINT, before)


def begin(folder: Path, env_id: str, **more: Any) -> LiveInstance:
    folder.parent.mkdir(exist_ok=True)
    recipe = Recipe(env_id=env_id, environment=env_id, **more)
    return revival.begin(folder.name, folder, recipe, CATALOGUE, limit=1 << 20, pulse=PULSE)


def live(instance: LiveInstance) -> None:
    """Resets, steps and renders an instance."""
    instance.reset(1, None, 0)
    instance.step(0, 0, 1)
    instance.render()


@pytest.mark.parametrize("when", ["made", "reset", "stepped", "rendered"])
@pytest.mark.parametrize("what", RAISED)
def test_an_environments_error_is_reported_on_one_short_line(folder: Path, what: str, when: str) -> None:
    with pytest.raises(EnvironmentFailed) as failure:
        live(begin(folder, f"foreign/{what}_{when}-v0", render_mode="rgb_array"))
    text = str(failure.value)
    assert text.isprintable() and len(text) < MOST_CHARACTERS + 100
    said = {"long": "RuntimeError: [31mred xxx", "unspeakable": "Unspeakable"}.get(what, "the muscles are tired")
    assert said in text
    assert PULSE[1] == 0


@pytest.mark.parametrize("what", RAISED)
def test_an_error_in_close_is_ignored(folder: Path, what: str) -> None:
    instance = begin(folder, f"foreign/{what}_closed-v0", render_mode="rgb_array")
    live(instance)
    instance.close("tested")
    assert PULSE[1] == 0


@pytest.mark.parametrize("what", RAISED)
def test_an_environment_that_raises_during_replay_is_lost(
    folder: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance = begin(folder, "foreign/chdir_never-v0")
    instance.reset(1, None, 0)
    instance.step(0, 0, 1)
    instance.unload()
    monkeypatch.setattr(Foreign, "step", lambda env, action: RAISED[what]())
    revived = revival.revive(folder.name, folder, CATALOGUE, limit=1 << 30, seconds=60, pulse=PULSE)
    assert "when it was replayed" in revived.recorded.lost and revived.recorded.lost.isprintable()
    assert len(revived.recorded.lost) < MOST_CHARACTERS + 100 and PULSE[1] == 0


def test_a_keyboard_interrupt_is_not_a_failure_of_the_environment(folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        live(begin(folder, "foreign/interrupt_stepped-v0"))


@pytest.mark.parametrize("when", ["reset", "stepped"])
def test_an_answer_of_the_wrong_form_is_reported_with_the_expected_one(folder: Path, when: str) -> None:
    with pytest.raises(EnvironmentFailed, match="observation, reward, terminated, truncated, info"):
        live(begin(folder, f"foreign/{OLD}_{when}-v0"))


def test_a_picture_of_the_wrong_shape_is_reported(folder: Path) -> None:
    with pytest.raises(EnvironmentFailed, match="the environment raised ValueError"):
        live(begin(folder, f"foreign/{OLD}_rendered-v0", render_mode="rgb_array"))


@pytest.mark.parametrize("what", RAISED)
def test_verification_reports_an_environment_that_raises(
    folder: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graded = begin(folder, "foreign/chdir_never-v0", trials=(Trial(5),))
    graded.reset(None, None, 0)
    for seq in range(1, 4):
        graded.step(0, 0, seq)
    graded.close("tested")
    records = list(read(folder / "journal"))
    assert verify(records, CATALOGUE).state == "verified"
    monkeypatch.setattr(Foreign, "step", lambda env, action: RAISED[what]())
    verdict = verify(records, CATALOGUE)
    assert verdict.state != "verified" and verdict.reason.isprintable() and len(verdict.reason) < MOST_CHARACTERS + 100
    with pytest.raises(EnvironmentFailed):
        for episode in episodes_of(records):
            list(replay(make_environment(episode, CATALOGUE, render=False), episode))


def test_a_keyboard_interrupt_ends_a_verification(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graded = begin(folder, "foreign/chdir_never-v0", trials=(Trial(5),))
    graded.reset(None, None, 0)
    graded.close("tested")

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(list(read(folder / "journal")), CATALOGUE, heartbeat=interrupt)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(Foreign, "reset", lambda env, **kwargs: interrupt())
    with pytest.raises(KeyboardInterrupt):
        verify(list(read(folder / "journal")), CATALOGUE)


def test_an_environment_of_another_api_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidRequest, match="multi-agent environments"):
        begin(folder, f"foreign/{OLD}_made-v0")


def test_an_environment_of_gym_before_0_26_is_served(folder: Path) -> None:
    instance = begin(folder, "Veteran-v0")
    first = [instance.reset(7, None, 0), *(instance.step(0, 0, seq) for seq in (1, 2, 3))]
    expected = np.random.Generator(np.random.PCG64(7)).random((4, 2))
    seen = [np.frombuffer(move.observation) for move in first]
    assert np.array_equal(seen, expected)
    assert [(move.terminated, move.truncated) for move in first[1:]] == [(False, False)] * 2 + [(True, False)]
    again = instance.reset(7, None, 4)
    assert again.observation == first[0].observation
    instance.unload()
    revived = revival.revive(folder.name, folder, CATALOGUE, limit=1 << 30, seconds=60, pulse=PULSE)
    assert revived.recorded.lost == "" and revived.last_call.time_step == again


@pytest.mark.parametrize(("mode", "shown"), [("rgb_array", [1] * 72), ("ansi", "step 1")])
def test_render_of_an_old_environment_gets_the_mode(folder: Path, mode: str, shown: Any) -> None:
    for number, more in enumerate(({}, {"num_envs": 2}, {"wrappers": (Wrapper("ClipReward", {"max_reward": 1.0}),)})):
        instance = begin(folder.with_name(str(number)), "Veteran-v0", render_mode=mode, **more)
        instance.reset(1, None, 0)
        instance.step(np.zeros(2, np.int64) if instance.recorded.batch else 0, 0, 1)
        state = instance.render()
        for each in state if instance.recorded.batch else [state]:
            assert np.ravel(each).tolist() == np.ravel(shown).tolist()
        assert instance.recorded.env.metadata["render_fps"] == 25
    plain = begin(folder, "Veteran-v0")
    plain.reset(1, None, 0)
    plain.step(0, 0, 1)
    assert np.ravel(twin.picture(plain, CATALOGUE)).tolist() == [1] * 72
    with pytest.raises(InvalidRequest, match="render_mode must be one of human, rgb_array, ansi, not 'depth'"):
        begin(folder, "Veteran-v0", render_mode="depth")


@pytest.mark.parametrize("what", RAISED)
def test_spaces_of_an_environment_that_cannot_be_made_or_closed_are_an_error(folder: Path, what: str) -> None:
    for when in ("made", "closed"):
        with pytest.raises(GymserveError):
            CATALOGUE.spaces(f"foreign/{what}_{when}-v0", {})


def copies(folder: Path, env_id: str = "CartPole-v1") -> LiveInstance:
    return begin(folder, env_id, num_envs=2, autoreset_mode="Disabled", max_episode_steps=None)


def test_a_mask_that_resets_no_copy_is_refused(folder: Path) -> None:
    instance = copies(folder)
    with pytest.raises(Conflict, match="reset all copies"):
        check_options(instance, None, {"reset_mask": [True, False]})
    instance.reset(1, None, 0)
    with pytest.raises(InvalidRequest, match="true for at least one copy"):
        check_options(instance, None, {"reset_mask": [False, False]})
    options = check_options(instance, None, {"reset_mask": [True, False]})
    assert options is not None and options["reset_mask"].tolist() == [True, False]


def test_a_finished_copy_waits_for_its_reset(folder: Path) -> None:
    """A finished copy also waits after a crash, and after the reset of another copy."""
    instance = copies(folder)
    instance.reset([1, 2], None, 0)
    seq = 1
    while instance.recorded.state == "running":
        action = np.array([0, seq % 2])  # the first copy falls, the second one does not
        packed = instance.recorded.actions.pack(action)
        instance.step(action, packed, seq)
        seq += 1
    for living in (instance, None):
        if living is None:
            instance.unload()
            living = revival.revive(folder.name, folder, CATALOGUE, limit=1 << 30, seconds=60, pulse=PULSE)
        assert living.recorded.lost == "" and living.recorded.state == "done"
        with pytest.raises(Conflict, match="copies 0 are over: reset them with options"):
            living.step(action, packed, seq)
    living.reset(None, {"reset_mask": np.array([False, True])}, seq)
    with pytest.raises(Conflict, match="copies 0 are over"):
        living.step(action, packed, seq + 1)
    living.reset(None, {"reset_mask": np.array([True, False])}, seq + 1)
    assert living.step(action, packed, seq + 2).terminated.tolist() == [False, False]
