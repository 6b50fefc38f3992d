"""Sessions of rewards-api as rows, on each kind of database."""

from pathlib import Path

import pytest

from gymserve.environments import Catalogue
from gymserve.protocol.errors import Conflict, InvalidRequest, LimitReached, NotFound
from gymserve.store import Database
from gymserve.store.models import Account, Experiment
from gymserve.training.experiments.lifecycle import Experiments
from gymserve.training.models.registry import Models
from gymserve.training.plan.checker import Checker
from gymserve.training.sessions import parameters
from gymserve.training.sessions.lifecycle import TrainingSessions


@pytest.fixture
def sessions(database: Database, tmp_path: Path) -> TrainingSessions:
    catalogue = Catalogue()
    checker = Checker(catalogue, {}, catalogue.spaces, minutes=60.0, servers=())
    experiments = Experiments(database, checker, tmp_path / "experiments", most=1)
    return TrainingSessions(database, experiments, Models(database, tmp_path / "models", experiments.folder, None))


def accounts(database: Database) -> list[int]:
    with database.writing() as session:
        made = [Account(email=name, email_key=name, password_hash="", role="participant") for name in "ab"]
        session.add_all(made)
        session.flush()
        return [account.id for account in made]


def test_a_name_is_unique_in_its_account_and_compared_exactly(sessions: TrainingSessions) -> None:
    one, other = accounts(sessions.database)
    first = sessions.create(one, "race")
    for account, name in ((other, "race"), (None, "race"), (one, "Race"), (one, "race "), (one, "räce")):
        assert sessions.create(account, name).id != first.id
    with pytest.raises(Conflict, match="there is a session race already"):
        sessions.create(one, "race")
    assert sessions.find(one, "race").id == first.id
    assert [row.name for row in sessions.of(one)] == ["räce", "race ", "Race", "race"]
    for name in ("a\nb", "\0"):
        with pytest.raises(InvalidRequest):
            sessions.find(one, name)
    with pytest.raises(NotFound):
        sessions.find(one, "nothing")


def test_an_accounts_sessions_are_limited(sessions: TrainingSessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gymserve.training.sessions.lifecycle.MOST", 2)
    for name in "ab":
        sessions.create(None, name)
    with pytest.raises(LimitReached, match="at most 2 sessions"):
        sessions.create(None, "c")
    sessions.create(accounts(sessions.database)[0], "c")


def test_two_requests_to_train_start_one_experiment(sessions: TrainingSessions) -> None:
    row = sessions.create(None, "race")
    stale = sessions.find(None, "race")
    made = sessions.train(row)
    assert made.state == "queued" and sessions.train(stale).name == made.name == sessions.train(row).name
    with sessions.database.reading() as session:
        assert session.query(Experiment).count() == 1
    assert "total_episodes" in made.parameters


def test_a_training_over_the_limit_leaves_nothing_behind(sessions: TrainingSessions) -> None:
    sessions.train(sessions.create(None, "one"))
    with pytest.raises(LimitReached):
        sessions.train(sessions.create(None, "two"))
    with sessions.database.reading() as session:
        assert session.query(Experiment).count() == 1
    assert sessions.experiment(sessions.find(None, "two")) is None


def test_a_session_is_deleted_with_its_experiments(sessions: TrainingSessions) -> None:
    row = sessions.create(None, "race")
    made = sessions.train(row)
    with pytest.raises(Conflict, match="stop it"):
        sessions.remove(row)
    sessions.experiments.stop(made)
    sessions.remove(row)
    with sessions.database.reading() as session:
        assert session.query(Experiment).count() == 0
    with pytest.raises(NotFound):
        sessions.find(None, "race")


def test_the_leaderboard_is_of_evaluations_over_all_tracks(sessions: TrainingSessions) -> None:
    quick, slow, never = (sessions.create(None, name) for name in ("quick", "slow", "never"))
    sessions.evaluated(quick, mode="training", track=1, steps=[1000], seconds=1.0)
    for track in (1, 2):
        quick = sessions.evaluated(quick, mode="evaluation", track=track, steps=[300, 600], seconds=1.5)
    slow = sessions.evaluated(slow, mode="evaluation", track=3, steps=[30], seconds=1.0)
    assert quick.score == pytest.approx(300) and slow.score == pytest.approx(10) and never.score is None
    assert [row.name for row in sessions.best()] == ["quick", "slow"]
    assert [sessions.rank(row) for row in (quick, slow, never)] == [1, 2, None]
    evaluation = sessions.find(None, "quick").evaluation
    assert evaluation["training"] == {"total_elapsed_time": 1.0, "1": {"num_trials": 1, "record": 1000, "mean": 1000.0}}
    assert evaluation["evaluation"]["total_elapsed_time"] == 3.0
    assert evaluation["evaluation"]["2"] == {"num_trials": 2, "record": 600, "mean": 450.0}


@pytest.mark.parametrize(
    "configuration, layers",
    [
        ("[[5,49],[49,3]]", [49]), ([[5, 8], [8, 9], [9, 3]], [8, 9]), ("[[5, 3]]", []), ('"[[5,49],[49,3]]"', [49]),
    ],
)  # fmt: skip
def test_layers_are_read_as_data(configuration: object, layers: list[int]) -> None:
    assert parameters.hidden_layers(configuration) == layers


def test_the_old_front_ends_choices_are_accepted() -> None:
    for loss in ("MSE", "RMSE", "MAE"):
        for optimizer in ("adam", "rmsprop", "adagrad"):
            agent = parameters.agent({"loss_fn": loss, "optimizer": optimizer, "gamma": 1, "epsilon": 1})
            documents = parameters.Documents(parameters.environment({}), agent, parameters.training({}))
            settings = parameters.experiment(documents)
            assert settings["hyperparameters"]["gamma"] == 1.0
            assert settings["hyperparameters"]["exploration_initial_eps"] == 0.01
            assert settings["hyperparameters"]["policy_kwargs"]["optimizer_class"] == optimizer


def test_a_retrained_model_acts_on_what_it_knows() -> None:
    documents = parameters.Documents(
        parameters.environment({}), parameters.agent({"epsilon": 50}), parameters.training({})
    )
    first, again = (parameters.experiment(documents, retrain=retrain)["hyperparameters"] for retrain in (False, True))
    assert (first["learning_starts"], first["exploration_initial_eps"]) == (200, 0.5)
    assert (again["learning_starts"], again["exploration_initial_eps"]) == (0, 0.01)


def test_percentages_fractions_and_the_old_sliders_units() -> None:
    assert [parameters.fraction(value) for value in (90, 100, 1, 0.95, 0)] == [0.9, 1.0, 0.01, 0.95, 0]
    assert parameters.learning_rate(60) == pytest.approx(0.0006) and parameters.learning_rate(0.01) == 0.01
    assert parameters.track_of(parameters.environment({"environment_world": 0})) == 1
    trainings = [parameters.training({"learning_algorithm": each}) for each in ("ppo", 0.01, "1", "QRDQN")]
    assert [parameters.algorithm_of(each) for each in trainings] == ["PPO", "DQN", "DQN", "QRDQN"]
