"""Settings come from several sources, and wrong ones are refused."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from gymserve import settings
from gymserve.protocol.errors import SettingsError
from gymserve.settings import pages
from tests import ROOT


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def local(text: str) -> str:
    Path("localsettings.py").write_text(text)
    return "localsettings.py"


def test_defaults() -> None:
    assert settings.load(None, {}, {}) == settings.Settings()


def test_the_example_env_file_loads_and_changes_nothing() -> None:
    Path(".env").write_text("\ufeff" + (ROOT / ".env.example").read_text())  # some editors write a byte order mark
    names = [line.partition("=")[0] for line in Path(".env").read_text().splitlines() if line.startswith("RL_API_")]
    assert len(names) == 8 and settings.load(None, {}, {}) == settings.Settings()
    Path(".env").write_text("\ufeffRL_API_PORT=5001\n")
    assert settings.load(None, {}, {}).PORT == 5001


def test_the_later_source_wins() -> None:
    local("PORT = 1\nTHREADS = 10\nSTEP_SECONDS = 5")
    environment = {"GYMSERVE_PORT": "2", "GYMSERVE_THREADS": "20"}
    loaded = settings.load(None, environment, {"PORT": 3})
    assert (loaded.PORT, loaded.THREADS, loaded.STEP_SECONDS) == (3, 20, 5.0)


def test_a_named_file_replaces_localsettings() -> None:
    local("PORT = 1")
    Path("other.py").write_text("PORT = 2")
    assert settings.load("other.py", {}, {}).PORT == 2
    assert settings.load(None, {"GYMSERVE_SETTINGS": "other.py"}, {}).PORT == 2


def test_lists_and_dictionaries_from_the_environment() -> None:
    environment = {"GYMSERVE_ENVIRONMENT_MODULES": "a, b", "GYMSERVE_ENVIRONMENT_KWARGS": '{"My-v0": ["size"]}'}
    loaded = settings.load(None, environment, {})
    assert loaded.ENVIRONMENT_MODULES == ["a", "b"] and loaded.ENVIRONMENT_KWARGS == {"My-v0": ["size"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("PROT = 1", "there is no setting PROT; did you mean PORT?"),
        ("PORT = 'x'", "PORT must be an integer, not 'x'"),
        ("PORT = True", "PORT must be an integer, not True"),
        ("PORT = 70000", "PORT must be from 0 to 65535, not 70000"),
        ("LOG_LEVEL = 'loud'", "LOG_LEVEL must be debug, info, warning or error"),
        ("PORT = ", "localsettings.py, line 1"),
        ("\nPORT = 1 / 0", "localsettings.py, line 2: ZeroDivisionError"),
    ],
)
def test_a_wrong_file_is_one_clear_line(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match="localsettings.py") as refused:
        settings.load(local(text), {}, {})
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_errors_name_the_variable() -> None:
    with pytest.raises(SettingsError, match="GYMSERVE_PRT: there is no setting PRT; did you mean PORT?"):
        settings.load(None, {"GYMSERVE_PRT": "1"}, {})
    with pytest.raises(SettingsError, match="GYMSERVE_PORT: PORT must be an integer"):
        settings.load(None, {"GYMSERVE_PORT": "many"}, {})


def test_a_named_file_must_exist() -> None:
    with pytest.raises(SettingsError, match=r"nowhere.py cannot be read"):
        settings.load("nowhere.py", {}, {})


def test_settings_reach_another_process_unchanged() -> None:
    values = {"GYMSERVE_DATA": str(Path("x").resolve()), "GYMSERVE_PRELOAD": "false"}
    loaded = settings.load(None, values, {})
    assert settings.from_json(loaded.to_json()) == loaded and loaded.PRELOAD is False


def test_another_process_gets_an_absolute_data_directory_and_only_the_secrets_that_it_needs() -> None:
    ours = settings.Settings(DATA="x", S3_ACCESS_KEY="a", DATABASE="postgresql://user:password@host/name")
    theirs = settings.from_json(ours.to_json(secrets=("S3_ACCESS_KEY",)))
    assert theirs == settings.Settings(DATA=str(Path("x").resolve()), S3_ACCESS_KEY="a")


@dataclass(frozen=True)
class Inner:
    port: int


@dataclass(frozen=True)
class Outer:
    data: str
    inner: Inner


def test_a_slice_has_the_values_of_its_part() -> None:
    assert settings.Settings(DATA="x", PORT=7).pick(Outer) == Outer("x", Inner(7))


def test_the_training_apis_variables_are_accepted(tmp_path: Path) -> None:
    Path(".env").write_text(
        "# as its document prints them\nRL_API_HOST=0.0.0.0\nRL_API_PORT=8000 # the port\nRL_API_DEBUG=false\n"
        'RL_API_CORS_ORIGINS="http://localhost:3000,http://localhost:8080"\nRL_API_LOG_LEVEL="INFO"\n'
        'RL_API_LOG_DIR="logs/api"\nRL_API_MAX_CONCURRENT_EXPERIMENTS=3\nRL_API_DEFAULT_TIMEOUT_MINUTES=60\n'
        'RL_API_SECRET_KEY="your-secure-secret-key"\nRL_API_WORKERS=4\nPATH=/nowhere\n'
    )
    loaded = settings.load(None, {"RL_API_PORT": "8001", "RL_API_WORKERS": "5", "GYMSERVE_WORKERS": "6"}, {})
    assert (loaded.HOST, loaded.PORT, loaded.WORKERS, loaded.LOG_LEVEL) == ("0.0.0.0", 8001, 6, "info")
    assert loaded.CORS_ORIGINS == ["http://localhost:3000", "http://localhost:8080"]
    assert (str(Path.cwd() / "logs" / "api"), ["your-secure-secret-key"]) == (loaded.LOG_DIR, loaded.SECRETS)
    assert (loaded.MAX_CONCURRENT_EXPERIMENTS, loaded.DEFAULT_TIMEOUT_MINUTES) == (3, 60.0)
    assert settings.load(None, {"RL_API_DEBUG": "true"}, {}).LOG_LEVEL == "debug"
    with pytest.raises(SettingsError, match="MAX_EXPERIMENTS"):
        settings.load(None, {"RL_API_MAX_EXPERIMENTS": "1"}, {})
    with pytest.raises(SettingsError, match="^the environment variable RL_API_WORKERS: WORKERS must be"):
        settings.load(None, {"RL_API_WORKERS": "many"}, {})


@pytest.mark.parametrize("name", ["CHALLENGE_SERVER_URL", "ASSISTANT_URL", "S3_ENDPOINT"])
def test_a_wrong_address_is_refused_at_startup(name: str) -> None:
    for wrong in ("example.org/api", "ftp://example.org", "https://", "http:// example.org"):
        with pytest.raises(SettingsError, match=f"{name} must begin with http:// or https:// and name a host"):
            settings.load(None, {f"GYMSERVE_{name}": wrong}, {})
    assert getattr(settings.load(None, {f"GYMSERVE_{name}": "https://example.org/api"}, {}), name)


def test_variables_without_an_effect_are_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    loaded = settings.load(None, {"RL_API_RELOAD": "true", "RL_API_LOG_FORMAT": "%(message)s"}, {})
    assert loaded == settings.load(None, {}, {})
    notes = capsys.readouterr().err
    assert "RL_API_RELOAD has no effect: " in notes and "RL_API_LOG_FORMAT has no effect: " in notes


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("RL_API_HOST=h # comment", "h"),
        ("RL_API_HOST=h#no", "h#no"),
        ('RL_API_HOST="h # no" # comment', "h # no"),
        ("RL_API_HOST='h'", "h"),
        ("export RL_API_HOST = h", "h"),
        ("RL_API_HOST= # nothing", ""),
        (r'RL_API_HOST="h\"\\h"', r'h"\h'),
        ("RL_API_HOST=${HOME}$HOME", "${HOME}$HOME"),
        ("RL_API_HOST='${HOME}'", "${HOME}"),
        ("PATH\nRL_API_HOST=h", "h"),
    ],
)
def test_an_env_file_is_read_as_python_dotenv_reads_it(line: str, value: str) -> None:
    Path(".env").write_text(line + "\n")
    assert value == settings.load(None, {}, {}).HOST


@pytest.mark.parametrize("line", ["RL_API_SECRET_KEY='secret", 'RL_API_SECRET_KEY="secret"secret', "=secret"])
def test_a_wrong_line_of_an_env_file_is_named_without_its_value(line: str) -> None:
    Path(".env").write_text(f"# a comment\n\nRL_API_HOST=h\n\n{line}\nRL_API_PORT=1\n")
    with pytest.raises(SettingsError, match=r"^\.env, line 5: ") as raised:
        settings.load(None, {}, {})
    assert "secret" not in str(raised.value)


def test_an_env_file_that_is_not_utf_8_is_refused() -> None:
    Path(".env").write_bytes(b"RL_API_HOST=\xff\n")
    with pytest.raises(SettingsError, match=r"\.env cannot be read: it is not UTF-8"):
        settings.load(None, {}, {})


def test_an_env_file_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dotenv.parser", None)
    settings.load(None, {}, {})
    Path(".env").touch()
    with pytest.raises(SettingsError, match=r"reading \.env needs gymserve\[server\]"):
        settings.load(None, {}, {})


def test_example_and_documentation_are_generated_from_the_table() -> None:
    assert (ROOT / "localsettings.py.example").read_text() == pages.example()
    assert (ROOT / "docs" / "settings.md").read_text() == pages.table()


def test_the_example_loads_as_it_is() -> None:
    assert settings.load(local(pages.example()), {}, {}) == settings.Settings()


OLD = """
CROWDAI_URL = "https://www.crowdai.org/api"
CROWDAI_CHALLENGE_ID = 12
CROWDAI_CHALLENGE_CLIENT_NAME = "NIPS_2017"
CROWDAI_TOKEN = "a token"
CROWDAI_REPLAY_DATA_VERSION = "v1"
REDIS_HOST = "127.0.0.1"
REDIS_PORT = 6379
DISPLAY = ":0"
DEBUG_MODE = True
DISABLE_VERIFICATION = False
SEED_MAP = [11, 22, 33]
RENDER_LOGO = True
SUBMISSION_WINDOW_TTL = 86400
MAX_SUBMISSIONS_PER_WINDOW = 5
ENV_TTL = 1200
MAX_PARALLEL_ENVS = 40
"""


def test_the_old_graders_file_loads_with_a_note_for_each_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "localsettings.py"
    file.write_text(OLD)
    environ = {"CROWDAI_ENV_DIFFICULTY": "2", "CROWDAI_ROUND_ID": "3", "CROWDAI_SERVE_PORT": "8001"}
    loaded = settings.load(str(file), environ, {})
    assert (loaded.CHALLENGE_SERVER_URL, loaded.CHALLENGE_SERVER_TOKEN) == ("https://www.crowdai.org/api", "a token")
    assert (loaded.CHALLENGE_ID, loaded.CHALLENGE_CLIENT_NAME, loaded.CHALLENGE_ROUND_ID) == ("12", "NIPS_2017", "3")
    assert (loaded.PORT, loaded.IDLE_SECONDS, loaded.MAX_INSTANCES, loaded.LOG_LEVEL) == (8001, 1200.0, 40, "debug")
    notes = capsys.readouterr().err
    names = {line.partition(" = ")[0] for line in OLD.split("\n") if line} | set(environ)
    assert names == {name for name in names if f": {name} is " in notes}
    assert "a token" not in notes


def test_a_new_name_overrides_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "localsettings.py"
    file.write_text('IDLE_SECONDS = 5\nENV_TTL = 1200\nDEBUG_MODE = True\nLOG_LEVEL = "error"\n')
    loaded = settings.load(str(file), {}, {})
    assert (loaded.IDLE_SECONDS, loaded.LOG_LEVEL) == (5.0, "error")
