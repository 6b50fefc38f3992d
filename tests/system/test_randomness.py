"""The global random generators of a process are seeded for each instance and trial from its own seed."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gymserve.environments import Catalogue
from gymserve.hosts.instance import revival
from gymserve.hosts.pulse import Pulse
from gymserve.journal import Reset, read
from gymserve.protocol.recipe import Recipe, Trial
from gymserve.system import randomness
from tests.support.servers import Server

CATALOGUE = Catalogue(["tests.support.environments.habitual"])
HABITS = {"habits": ["numpy", "python"]}


def begun(folder: Path, token: str = "d1-x", **recipe: Any) -> Any:
    made = Recipe(env_id="Habitual-v0", environment="Habitual-v0", kwargs=HABITS, **recipe)
    return revival.begin(token, folder / token, made, CATALOGUE, limit=1 << 20, pulse=Pulse().page)


def revived(instance: Any) -> Any:
    """The instance, revived as in another process, whose generators have another state."""
    instance.unload()
    random.random(), np.random.random(7)
    return revival.revive(instance.token, instance.folder, CATALOGUE, limit=1 << 30, seconds=60, pulse=Pulse().page)


def drawn(instance: Any, seed: int | None = None) -> list[bytes]:
    moves = [instance.reset(seed, None, None), *(instance.step(1, 1, None) for _ in range(3))]
    return [move.observation for move in moves]


def test_random_numbers_depend_only_on_the_seed(tmp_path: Path) -> None:
    seeds = {"d1-x": 7, "d2-x": 7, "d3-x": 8}
    first, same, other = (begun(tmp_path, token, seed=seed, global_seed=seed) for token, seed in seeds.items())
    observations = drawn(first)
    np.random.random(5)
    assert drawn(same) == observations != drawn(other)
    assert drawn(first) != observations  # the next episode
    assert drawn(first, 5) == drawn(same, 5)


@pytest.mark.guarantee("an environment draws from numpy's or Python's global generator")
def test_an_episode_with_and_without_a_seed_is_revived(tmp_path: Path) -> None:
    instance = begun(tmp_path, global_seed=2**62 + 5)
    for seed in (None, 3, None):
        drawn(instance, seed)
        instance = revived(instance)
        assert not instance.recorded.lost
        instance.step(1, 1, None)


def test_a_trial_depends_only_on_its_own_seed(tmp_path: Path) -> None:
    trials = (Trial(2**61 + 1), Trial(2**62 + 3))
    instance = begun(tmp_path, trials=trials, global_seed=trials[0].seed)
    drawn(instance)
    second = drawn(instance)
    alone = begun(tmp_path, "d2-x", trials=trials[1:], global_seed=trials[1].seed)
    assert drawn(alone) == second
    resets = [record for record in read(instance.folder / "journal") if isinstance(record, Reset)]
    assert [(reset.seed, reset.global_seed) for reset in resets] == [(trial.seed, trial.seed) for trial in trials]


def test_old_journals_do_not_seed_the_generators(tmp_path: Path) -> None:
    instance = begun(tmp_path)
    randomness.seed(1)
    before = randomness.state()
    assert drawn(instance) != drawn(instance)
    randomness.restore(before)
    instance.unload()
    again = revival.revive(instance.token, instance.folder, CATALOGUE, limit=1 << 30, seconds=60, pulse=Pulse().page)
    assert "does not replay identically" in again.recorded.lost  # as before such seeds existed
    resets = [record for record in read(instance.folder / "journal") if isinstance(record, Reset)]
    assert [reset.global_seed for reset in resets] == [None, None]


def test_the_generators_state_is_restored() -> None:
    pytest.importorskip("torch")
    import torch

    def draw() -> list[float]:
        return [random.random(), random.gauss(0, 1), np.random.random(), np.random.normal(), float(torch.rand(1))]

    randomness.seed(3)
    draw()
    with randomness.preserved():
        first = draw()
    assert draw() == first
    randomness.seed(3)
    assert draw() != first


@pytest.mark.long
@pytest.mark.parametrize("warm_hosts", [0, 1])
def test_forked_hosts_draw_different_numbers(start: Any, warm_hosts: int) -> None:
    server: Server = start(
        ENVIRONMENT_MODULES=["tests.support.environments.habitual"],
        ENVIRONMENT_KWARGS={"Habitual-v0": ["habits"]},
        PREPARED_HOSTS=warm_hosts,
    )

    def first(seed: int | None) -> tuple[float, ...]:
        token = server.create("Habitual-v0", kwargs=HABITS, seed=seed)
        return tuple(server.post(f"/v1/envs/{token}/reset/").json["observation"]["parts"])

    assert len({first(seed) for seed in (*range(6), None, None)}) == 8
    assert first(3) == first(3)
