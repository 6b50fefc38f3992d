"""One server for rewards-api's trainings, with a bucket and a trained session."""

import itertools
from collections.abc import Iterator

import pytest

from tests.training.conftest import AwayBucket
from tests.web.dialects.racers import LEARNING_EPISODES, Racer, pictures


@pytest.fixture(scope="module")
def bucket() -> Iterator[AwayBucket]:
    moto = AwayBucket()
    yield moto
    moto.stop()


@pytest.fixture(scope="module")
def racer(tmp_path_factory: pytest.TempPathFactory, bucket: AwayBucket) -> Iterator[Racer]:
    """A server of its own, where training takes all of the only worker's places for viewers."""
    started = Racer(tmp_path_factory.mktemp("racer"), WORKERS=1, MAX_CONCURRENT_EXPERIMENTS=10, **bucket.settings)
    yield started
    started.stop()
    started.end_experiments()


@pytest.fixture(scope="module")
def driver(racer: Racer) -> str:
    """A session that has learned to drive on the first track while it was watched."""
    agent, environment = {"num_episodes": LEARNING_EPISODES}, {"environment_world": 1, "car_speed": 240}
    name = racer.session("driver", agent=agent, environment=environment)
    with racer.stream(name) as stream:
        assert stream.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
        seen = list(pictures(stream))
    assert len(seen) > 20 and all(each.shape == (700, 800, 3) for each in seen)
    assert any((one != other).any() for one, other in itertools.pairwise(seen))
    assert racer.status(name) == "completed"
    return name
