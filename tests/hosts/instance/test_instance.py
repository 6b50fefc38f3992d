"""Instances in this process: the arguments of their environments, their journals, and the answers to repeated calls."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gymserve.environments import Catalogue
from gymserve.hosts.instance import answers, revival
from gymserve.hosts.instance.allowance import Allowance
from gymserve.hosts.instance.live import LiveInstance
from gymserve.hosts.instance.time_step import TimeStep
from gymserve.hosts.pulse import Pulse
from gymserve.journal import Closed, Ended, Reset, episodes_of, read, records
from gymserve.protocol import errors, wire
from gymserve.protocol.recipe import Recipe, Trial
from tests.grader.journals import bodies, from_bodies
from tests.support.environments.faulty import Telltale

CATALOGUE = Catalogue(["tests.support.environments.faulty"])
TOKEN = "s0-x"


class Life:
    """An instance that can be lost and revived at any time."""

    def __init__(self, folder: Path, environment: str, **recipe: Any) -> None:
        self.folder = folder / TOKEN
        made = Recipe(env_id=environment, environment=environment, **recipe)
        self.instance: LiveInstance = revival.begin(
            TOKEN, self.folder, made, CATALOGUE, limit=1 << 30, pulse=Pulse().page
        )

    def reset(self, seed: Any = None, options: Any = None, call: int | None = None) -> TimeStep:
        return self.instance.reset(seed, answers.check_options(self.instance, seed, options), call)

    def step(self, action: Any, call: int | None = None) -> TimeStep:
        packed = self.instance.recorded.actions.pack(self.instance.recorded.actions.from_json(action))
        return self.instance.step(self.instance.recorded.actions.unpack(packed), packed, call)

    def lose(self) -> None:
        """Unloads the instance, and revives it."""
        self.instance.unload()
        self.revive()

    def revive(self) -> None:
        """Revives the instance from its journal."""
        self.instance = revival.revive(TOKEN, self.folder, CATALOGUE, limit=1 << 30, seconds=60, pulse=Pulse().page)

    @property
    def records(self) -> list[Any]:
        return list(read(self.folder / "journal"))


@pytest.mark.guarantee("an environment writes into its options, arguments or actions")
def test_an_environment_that_changes_its_arguments_changes_no_journal(tmp_path: Path) -> None:
    life = Life(tmp_path, "Grabbing-v0", kwargs={"config": {"start": 5}})
    options = {"size": 7, "nested": {"deep": [1]}}
    life.reset(3, options, 0)
    moves = [life.step([2.0], 1), life.step([-1.0], 2)]
    assert options == {"size": 7, "nested": {"deep": [1]}}
    created, reset, *steps = life.records
    assert created.recipe.kwargs == {"config": {"start": 5}} and reset.options == options
    assert [np.frombuffer(step.action)[0] for step in steps] == [2.0, -1.0]
    assert [np.frombuffer(move.observation)[0] for move in moves] == [5 + 15, 5 + 15 - 6]
    life.lose()
    assert not life.instance.recorded.lost
    assert life.step([-1.0], 2) == moves[1]  # equal in every byte, including info
    assert wire.unpack(life.step([1.0], 3).info)["seen"] == [7.0, 20.0, 14.0, 22.0]


@pytest.mark.parametrize("environment", ["Grabbing-v0", "CartPole-v1"])
def test_a_partial_reset_is_recorded_as_requested(tmp_path: Path, environment: str) -> None:
    life = Life(tmp_path, environment, num_envs=3, autoreset_mode="Disabled")
    life.reset([1, 2, 3])
    life.step([0, 0, 0])
    moved = life.reset([4, 5, 6], {"reset_mask": [True, False, True]}, 0)
    first, second = (record for record in life.records if isinstance(record, Reset))
    assert first.seed == [1, 2, 3] and second.seed == [4, 5, 6]
    assert second.options["reset_mask"].tolist() == [True, False, True]
    life.lose()
    assert not life.instance.recorded.lost and life.reset([4, 5, 6], {"reset_mask": [1, 0, 1]}, 0) == moved


def test_a_vector_environment_that_reuses_its_reward_array_changes_no_answer(tmp_path: Path) -> None:
    life = Life(tmp_path, "Grabbing-v0", num_envs=3, autoreset_mode="Disabled")
    life.reset()
    first = life.step([0, 1, 0], 0)
    life.reset(None, {"reset_mask": [False, True, False]}, 1)
    second = life.step([0, 0, 0], 2)
    assert first.reward.tolist() == [1.0] * 3 and second.reward.tolist() == [2.0] * 3
    assert first.terminated.tolist() == [False, True, False] and not second.terminated.any()


def test_trials_with_the_same_options_each_get_them_and_reveal_none(tmp_path: Path) -> None:
    variant = {"size": 3, "nested": {}}
    trials = tuple(Trial(2**40 + number, variant, {"config": {"start": 1}}) for number in range(2))
    life = Life(tmp_path, "Grabbing-v0", trials=trials)
    for _ in trials:
        assert wire.unpack(life.reset().info).keys() == {"seen"}
        assert np.frombuffer(life.step([1.0]).observation)[0] == 1 + 3 + 1
    life.lose()
    one, two = episodes_of(life.records)
    assert one.reset.options == two.reset.options == variant == {"size": 3, "nested": {}}
    assert one.recipe.kwargs == {"config": {"start": 1}} and not life.instance.recorded.lost


def test_a_repeated_seq_answers_only_the_same_request(tmp_path: Path) -> None:
    life = Life(tmp_path, "CartPole-v1")
    moves = [life.reset(3, None, 0), life.step(1, 1)]
    for _ in range(2):
        assert life.step(1, 1) == moves[1]
        with pytest.raises(errors.KeyReused):
            life.step(0, 1)
        with pytest.raises(errors.KeyReused):
            life.reset(3, None, 1)
        assert len(life.records) == 3
        life.lose()


@pytest.mark.parametrize("seq", [0, 1, 4, 9])
def test_a_seq_that_is_not_the_next_one_is_refused(tmp_path: Path, seq: int) -> None:
    life = Life(tmp_path, "CartPole-v1")
    life.reset(3, None, 0)
    with pytest.raises(errors.OutOfSequence, match="expected 1"):
        life.step(1, 2)
    for number in (1, 2):
        life.step(1, number)
    with pytest.raises(errors.OutOfSequence, match="expected 3"):
        life.step(1, seq)
    assert len(life.records) == 4


def test_the_last_seq_is_known_after_a_revival_even_if_calls_without_one_followed(tmp_path: Path) -> None:
    life = Life(tmp_path, "CartPole-v1")
    life.reset(3, None, 0)
    life.step(1, 1)
    life.step(0, -77)  # a request without seq, to which a worker has given an id
    life.lose()
    assert life.instance.last_call.seq == 1
    life.step(1, 2)
    assert [record.call for record in life.records[1:]] == [0, 1, -77, 2]


def test_a_truncated_episode_is_over_after_a_revival(tmp_path: Path) -> None:
    life = Life(tmp_path, "CartPole-v1", max_episode_steps=2)
    life.reset(3)
    assert not life.step(1).truncated and life.step(0).truncated
    life.lose()
    with pytest.raises(errors.Conflict, match="the episode is over"):
        life.step(1)


def test_an_episode_without_a_seed_is_replayed_without_the_episodes_before(tmp_path: Path) -> None:
    life = Life(tmp_path, "CartPole-v1")
    life.reset(3)
    life.reset()
    moved = life.step(1, 1)
    life.instance.unload()
    parts = bodies((life.folder / "journal").read_bytes())
    first = life.records[1]
    parts[1] = records.encode_reset(first._replace(digest=first.digest ^ 1))
    (life.folder / "journal").write_bytes(from_bodies(tmp_path / "x", parts))
    life.revive()
    assert not life.instance.recorded.lost and life.step(1, 1) == moved


def test_an_instance_that_does_not_replay_refuses_calls_until_it_is_reset(tmp_path: Path) -> None:
    life = Life(tmp_path, "Forgetful-v0")
    life.reset(3, None, 0)
    life.step(0, 1)
    life.lose()
    for seq in (1, 2, None):
        with pytest.raises(errors.NotReplayable, match="reset the instance to go on"):
            life.step(0, seq)
    assert "does not replay identically" in life.instance.recorded.lost
    with pytest.raises(errors.OutOfSequence, match="expected 2"):
        life.step(0, 0)
    life.reset(3, None, -77)  # without a seq, so a worker has given it an id
    life.lose()
    life.reset(3, None, 2)
    life.step(0, 3)


def test_a_closed_instance_has_a_reason_and_is_not_revived(tmp_path: Path) -> None:
    life = Life(tmp_path, "CartPole-v1")
    life.reset(3)
    life.instance.close("idle")
    assert life.records[-1][:1] == ("idle",) and isinstance(life.records[-1], Closed)
    with pytest.raises(errors.UnknownInstance):
        life.revive()


def test_monitoring_continues_after_a_revival(tmp_path: Path) -> None:
    life = Life(tmp_path, "CartPole-v1")
    for options in ({"directory": "a"}, None):
        life.instance.monitor(options)
        life.lose()
        assert life.instance.monitoring is (options is not None)
    with pytest.raises(errors.Conflict, match="not being monitored"):
        life.instance.monitor(None)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def timed(folder: Path) -> tuple[Life, Clock]:
    """A graded instance whose agent has one second per step, and its clock."""
    life = Life(folder, "CartPole-v1", trials=(Trial(1), Trial(2)), allowance={"step_seconds": 1.0})
    clock = Clock()
    assert life.instance.graded is not None
    life.instance.graded._allowance = Allowance(life.instance.recipe.allowance, age=0.0, clock=clock)
    return life, clock


def test_the_time_limit_restarts_with_each_answer(tmp_path: Path) -> None:
    life, clock = timed(tmp_path)
    life.reset(None, None, 0)
    for seq in range(1, 6):
        clock.now += 0.9
        life.step(seq % 2, seq)
    clock.now += 1.1
    with pytest.raises(errors.Conflict, match="took too long"):
        life.step(0, 6)


def test_a_repeated_request_is_never_late(tmp_path: Path) -> None:
    life, clock = timed(tmp_path)
    life.reset(None, None, 0)
    moved = life.step(1, 1)
    clock.now += 100.0
    assert life.step(1, 1) == moved
    assert life.instance.recorded.state == "running"


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "killed before"])
def test_a_failed_trial_is_over_after_a_revival(tmp_path: Path, recorded: bool) -> None:
    life = Life(tmp_path, "Telltale-v0", trials=(Trial(2**40), Trial(2**41)))
    life.reset(None, None, 0)
    moved = life.step(Telltale.NAN, 1)
    assert moved.truncated and isinstance(life.records[-1], Ended)
    life.instance.unload()
    if not recorded:
        parts = bodies((life.folder / "journal").read_bytes())
        (life.folder / "journal").write_bytes(from_bodies(tmp_path / "x", parts[:-1]))
    life.revive()
    again = life.step(Telltale.NAN, 1)
    assert again.truncated and wire.unpack(again.info) == wire.unpack(moved.info)
    with pytest.raises(errors.Conflict, match="the trial is over"):
        life.step(Telltale.GO, 2)


def test_the_reset_that_ended_the_last_trial_is_known_after_a_revival(tmp_path: Path) -> None:
    life = Life(tmp_path, "Telltale-v0", trials=(Trial(2**40),))
    life.reset(None, None, 0)
    life.step(Telltale.GO, 1)
    assert life.reset(None, None, 2).observation is None
    life.lose()
    assert life.instance.last_call.seq == 2
    assert life.reset(None, None, 2).observation is None and life.reset(None, None, 3).observation is None
    assert [type(record).__name__ for record in life.records] == ["Created", "Reset", "Step", "Ended"]


@pytest.mark.parametrize("end", ["step", "not finite", "reset", "late"])
def test_the_end_of_a_trial_is_synced_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    life = Life(tmp_path, "Telltale-v0", trials=(Trial(2**40),), allowance={"step_seconds": 1.0})
    clock = Clock()
    assert life.instance.graded is not None
    life.instance.graded._allowance = Allowance(life.instance.recipe.allowance, age=0.0, clock=clock)
    life.reset()
    synced: list[int] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(len(life.records))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    life.step(Telltale.GO)
    assert not synced
    if end == "reset":
        life.reset()
    elif end == "late":
        clock.now += 2.0
        with pytest.raises(errors.Conflict):
            life.step(Telltale.GO)
    else:
        life.step(Telltale.END if end == "step" else Telltale.NAN)
    assert synced[-1:] == [len(life.records)]


def test_a_damaged_or_closed_journal_is_an_unknown_instance(tmp_path: Path) -> None:
    life = Life(tmp_path, "CartPole-v1")
    life.reset(3)
    life.instance.unload()
    journal = life.folder / "journal"
    whole = journal.read_bytes()
    created, reset, *_ = bodies(whole)
    closed = from_bodies(journal, [created, reset, records.encode_closed("idle", 1.0)])
    for content in (b"", b"something else", whole[:30], from_bodies(journal, [reset]), closed):
        journal.write_bytes(content)
        with pytest.raises(errors.UnknownInstance, match=f"{TOKEN} unknown"):
            life.revive()
    journal.write_bytes(whole)
    life.revive()
