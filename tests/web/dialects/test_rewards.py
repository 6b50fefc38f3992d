"""rewards-api's sessions and their parameters, as its document prints the requests, and what is refused."""

import os
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest

from tests.conftest import Secured
from tests.support.servers import Server
from tests.web.dialects.racers import AGENT, ENVIRONMENT, TRAINING, Racer


@pytest.fixture(scope="module")
def racer(server: Server) -> Racer:
    """The shared server: nothing is trained here."""
    return Racer.of(server)


# --- sessions and their parameters ---------------------------------------------------------------------------------


def test_the_documents_requests_as_printed(racer: Racer) -> None:
    session = racer.api("POST", "create_session", session_id="some-session-name")
    assert session.status == 200 and session.json["status"] == 200 and session.json["session_id"] == "some-session-name"
    assert len(session.json["session_creation_date"]) == 10 and len(session.json["session_creation_time"]) == 15
    assert set(session.json["dir_paths"]) == {"session_root_dir", "saved_models_dir"}
    assert set(session.json["json_paths"]) == {"training_metrics", "evaluation_metrics", "model_history"}
    written = racer.post("/api/v1/write_env_params", {"session_id": "some-session-name", **ENVIRONMENT})
    assert written.json == {"status": 200, "response": "saved all the environment configurations successfully"}
    for path in ("write_agent_parameters", "write_agent_params"):
        history = racer.post(f"/api/v1/{path}", {"session_id": "some-session-name", **AGENT}).json
        created = history["last_created"]
        assert {name: created[name] for name in ("loss", "optimizer", "gamma", "epsilon", "model_config")} == {
            "loss": "mse", "optimizer": "adam", "gamma": 90, "epsilon": 20, "model_config": "[[5,49],[49,3]]",
        }  # fmt: skip
        assert len(created["date"]) == 10 and len(created["time"]) == 15 and history["last_trained"] == {}
    answer = racer.post("/api/v1/write_training_params", {"session_id": "some-session-name", **TRAINING})
    assert answer.json == {"status": 200, "response": "ok"}
    other = {"session_id": "some-session-name", "reward_function": TRAINING["reward_function"]}
    assert racer.post("/api/v1/write_reward_fn", {**other, "reward_function": "2 if is_alive else 0"}).status == 200
    rewarded = racer.params("some-session-name")["training_params"]
    assert rewarded == {**TRAINING, "reward_function": "2 if is_alive else 0"}
    assert racer.post("/api/v1/write_reward_fn", {**other, "reward_function": "import os"}).status == 400
    assert racer.post("/api/v1/write_reward_fn", other).json == {"status": 200, "response": "ok"}
    params = racer.params("some-session-name")
    assert (params["status"], params["env_params"], params["agent_params"]) == (200, ENVIRONMENT, AGENT)
    assert params["training_params"] == TRAINING
    assert params["training_metrics"] == {"plot_scores": [], "plot_mean_scores": []}
    assert params["evaluation_metrics"] == {"session_id": "some-session-name", "training": {}, "evaluation": {}}
    listed = racer.get("/api/v1/get_all_sessions").json
    assert listed["some-session-name"]["env_params"] == ENVIRONMENT
    assert [each["id"] for each in racer.post("/api/v1/get_all_envs").json] == ["car_racer"]
    assert isinstance(racer.get("/api/v1/get_user_list").json["leaderboard_data"], list)
    assert racer.post("/api/v1/get_all_tracks", {"session_id": "some-session-name"}).json[0] == "track-1.png"
    again = racer.api("POST", "create_session", session_id="some-session-name")
    assert again.status == 409 and "must be unique" in again.json["message"]
    gone = racer.api("POST", "delete_session", session_id="some-session-name")
    assert gone.json == {"status": 200, "message": "Session some-session-name deleted successfully"}
    assert racer.api("GET", "get_all_params", session_id="some-session-name").status == 404


def test_parameters_are_read_from_body_form_and_query(racer: Racer) -> None:
    assert racer.post("/api/v1/create_session", {"session_id": "b"}).status == 200
    form = urllib.parse.urlencode({"session_id": "b", **AGENT, "learning_rate": "0.001", "gamma": "95"}).encode()
    kind = {"Content_Type": "application/x-www-form-urlencoded"}
    assert racer.post("/api/v1/write_agent_params", form, **kind).status == 200
    assert (
        racer.post("/api/v1/write_env_params?session_id=b", {"environment_world": "0", "car_speed": "30"}).status == 200
    )
    params = racer.params("b")
    assert (params["agent_params"]["learning_rate"], params["agent_params"]["gamma"]) == (0.001, 95)
    assert (params["env_params"]["environment_world"], params["env_params"]["car_speed"]) == (0, 30)
    refused = racer.post("/api/v1/write_env_params?session_id=b", {"session_id": "c"})
    assert refused.status == 400 and "in the query, but differs in the body" in refused.json["message"]


LABELS = [
    "../../../etc/passwd", "..", "/etc/passwd", "~root", "~", "C:\\Windows", "a/b", "%2e%2e%2f", "ä € 🏎", "x" * 200, "'; --",
    "{{7*7}}",
]  # fmt: skip


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.guarantee("a session is called `../x`, `/etc/passwd`, `~root` …")
def test_a_sessions_name_is_a_label_and_never_a_path(racer: Racer, name: str) -> None:
    def tree() -> set[str]:
        """Return the folders and their contents, without those that the server's processes change at any time."""
        paths: set[str] = set()
        for folder, folders, files in os.walk(racer.data):
            if folder == str(racer.data):
                folders[:], files = {*folders} - {"instances", "submissions"}, []
            paths.update(os.path.join(folder, name) for name in (*folders, *files))
        return paths

    before = tree()
    session = racer.api("POST", "create_session", session_id=name)
    assert session.status == 200 and session.json["session_id"] == name
    for path in (*session.json["dir_paths"].values(), *session.json["json_paths"].values()):
        assert path.startswith("sessions/") and ".." not in path and str(racer.data) not in path
    racer.post("/api/v1/write_env_params", {"session_id": name, **ENVIRONMENT})
    assert racer.params(name)["env_params"] == ENVIRONMENT and tree() == before
    assert racer.api("POST", "delete_session", session_id=name).status == 200
    assert tree() == before


@pytest.mark.parametrize("name", ["", "\0", "a\0b", "a\nb", "x" * 201, "x" * 100_000, "\ud800", 5, None, [], {}, True])
def test_invalid_session_names_are_refused_everywhere(racer: Racer, name: Any) -> None:
    for path in ("create_session", "delete_session", "write_env_params", "write_agent_params", "write_training_params"):
        answer = racer.post(f"/api/v1/{path}", {"session_id": name})
        message = "must not hold" if isinstance(name, str) and {*name} & {"\0", "\ud800"} else "session_id"
        assert answer.status == 400 and message in answer.json["message"], (path, answer.body)
    if isinstance(name, str) and len(name) < 1000 and name.isprintable():
        for path in ("get_all_params", "stream", "stop", "evaluate"):
            assert racer.api("GET", path, session_id=name).status == 400


@pytest.mark.parametrize("path", ["get_all_params", "stream", "stop", "evaluate"])
def test_an_unknown_session_is_404(racer: Racer, path: str) -> None:
    answer = racer.api("GET", path, session_id="nobody's")
    assert answer.status == 404 and answer.json["message"] == "there is no session nobody's"


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("write_env_params", {"environment_name": "os:Env"}, "environment_name must be car-race"),
    ("write_env_params", {"environment_world": 4}, "environment_world must be an integer from 0 to 3"),
    ("write_env_params", {"environment_world": "../1"}, "environment_world must be"),
    ("write_env_params", {"mode": "both"}, "mode must be training or evaluation"),
    ("write_env_params", {"car_speed": 0}, "car_speed must be an integer from 1 to 240"),
    (
        "write_agent_params",
        {"model_configuration": "__import__('os').system('x')"},
        "model_configuration must be such as",
    ),
    ("write_agent_params", {"model_configuration": "[[5,49],[48,3]]"}, "as many inputs per layer as outputs before"),
    ("write_agent_params", {"model_configuration": "[[4,49],[49,3]]"}, "it must start with 5 and end with 3"),
    ("write_agent_params", {"model_configuration": "[[5,99999],[99999,3]]"}, "units must be an integer from 1 to 4096"),
    ("write_agent_params", {"model_configuration": "[" * 900}, "model_configuration must be such as"),
    ("write_agent_params", {"model_configuration": [[5, 8]] * 50}, "model_configuration must be such as"),
    ("write_agent_params", {"learning_rate": "fast"}, "learning_rate must be a number"),
    ("write_agent_params", {"learning_rate": 0}, "learning_rate must be a number"),
    ("write_agent_params", {"gamma": 101}, "gamma must be a number from 0 to 100"),
    ("write_agent_params", {"epsilon": -1}, "epsilon must be a number from 0 to 100"),
    ("write_agent_params", {"num_episodes": 10**6}, "num_episodes must be an integer from 1 to 10000"),
    ("write_agent_params", {"optimizer": "os.system"}, "optimizer must be one of adam, adamw, adagrad, rmsprop, sgd"),
    ("write_agent_params", {"loss_fn": 5}, "loss_fn must be one of"),
    ("write_training_params", {"learning_algorithm": "eval"}, "learning_algorithm must be one of"),
    ("write_training_params", {"learning_algorithm": [1]}, "learning_algorithm must be one of"),
    ("write_training_params", {"enable_wandb": "maybe"}, "enable_wandb must be true or false"),
    ("write_training_params", {"reward_function": "def f(p):\n    import os\n    return 1"}, "line 2: Import"),
    ("write_training_params", {"reward_function": "().__class__"}, "line 1: Attribute"),
    ("write_training_params", {"reward_function": "1" * 10_000}, "a string of 1 to 5000 characters"),
    ("write_training_params", {"reward_function": ["1"]}, "a string of 1 to 5000 characters"),
]


@pytest.mark.parametrize(("path", "values", "message"), BAD)
def test_invalid_values_are_refused_and_change_nothing(
    racer: Racer, path: str, values: dict[str, Any], message: str
) -> None:
    racer.api("POST", "create_session", session_id="strict")
    before = racer.params("strict")
    answer = racer.post(f"/api/v1/{path}", {"session_id": "strict", **values})
    assert answer.status == 400 and message in answer.json["message"], answer.body
    assert racer.params("strict") == before


def test_parameters_without_effect_are_noted(racer: Racer) -> None:
    racer.session("notes", training={"learning_algorithm": "ppo"})
    notes = racer.post("/api/v1/write_agent_params", {"session_id": "notes", **AGENT}).json["notes"]
    assert [note.partition(":")[0] for note in notes] == ["loss_fn", "epsilon"]


def test_pages_of_other_sites_start_and_stop_nothing(racer: Racer) -> None:
    racer.session("targeted")
    for path in ("stream", "stop", "evaluate"):
        for headers in (
            {"Sec_Fetch_Site": "cross-site", "Referer": "https://evil.example/x"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site", "Referer": "http://127.0.0.1:1/"},
            {"Origin": "https://evil.example"},
        ):
            answer = racer.get(f"/api/v1/{path}?session_id=targeted", **headers)
            assert answer.status == 403 and "CORS_ORIGINS" in answer.json["message"], (path, headers)
    own = {"Sec_Fetch_Site": "same-origin", "Referer": f"{racer.url}/"}
    assert racer.get("/api/v1/stop?session_id=targeted", **own).status == 200
    assert racer.status("targeted") == "created"


# --- accounts -----------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_sessions_belong_to_accounts(secured: Secured) -> None:
    for path in ("create_session", "write_env_params", "push_model", "evaluate"):
        assert secured.ask("nobody", "POST", f"/api/v1/{path}?session_id=mine").status == 401
    for path in (
        "get_all_params",
        "get_all_sessions",
        "stream",
        "stop",
        "evaluate",
        "final_eval_score",
        "get_user_list",
    ):
        assert secured.ask("nobody", "GET", f"/api/v1/{path}?session_id=mine").status == 401
    assert secured.ask("participant", "POST", "/api/v1/create_session?session_id=mine").status == 200
    unknown = secured.ask("other", "GET", "/api/v1/get_all_params?session_id=mine")
    nothing = secured.ask("participant", "GET", "/api/v1/get_all_params?session_id=nothing")
    assert unknown.status == nothing.status == 404
    assert unknown.json["message"].replace("mine", "it") == nothing.json["message"].replace("nothing", "it")
    for method, path in (("GET", "stream"), ("GET", "stop"), ("POST", "evaluate"), ("POST", "delete_session")):
        assert secured.ask("other", method, f"/api/v1/{path}?session_id=mine").status == 404
    assert secured.ask("other", "POST", "/api/v1/create_session?session_id=mine").status == 200
    other = {"session_id": "mine", **ENVIRONMENT, "environment_world": 3}
    assert secured.ask("other", "POST", "/api/v1/write_env_params", other).status == 200
    own = secured.ask("participant", "GET", "/api/v1/get_all_params?session_id=mine").json
    assert own["env_params"]["environment_world"] == 1
    listed = secured.ask("participant", "GET", "/api/v1/get_all_sessions").json
    assert listed["mine"]["env_params"]["environment_world"] == 1
    users = secured.ask("participant", "GET", "/api/v1/get_user_list").json["users"]
    assert users == [{"id": secured.ids["participant"], "name": "participant@example.org"}]
    assert len(secured.ask("admin", "GET", "/api/v1/get_user_list").json["users"]) >= 4
    for who in ("participant", "other"):
        assert secured.ask(who, "POST", "/api/v1/delete_session?session_id=mine").status == 200
