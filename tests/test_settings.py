"""Where settings come from, and what is refused."""

from pathlib import Path

import pytest

from gymserve import settings
from gymserve.errors import SettingsError

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def local(text: str) -> str:
    Path("localsettings.py").write_text(text)
    return "localsettings.py"


def test_defaults() -> None:
    assert settings.load(None, {}, {}) == settings.Settings()


def test_the_later_place_wins() -> None:
    local("PORT = 1\nTHREADS = 10\nSTEP_SECONDS = 5")
    environment = {"GYMSERVE_PORT": "2", "GYMSERVE_THREADS": "20"}
    loaded = settings.load(None, environment, {"PORT": 3})
    assert (loaded.PORT, loaded.THREADS, loaded.STEP_SECONDS) == (3, 20, 5.0)


def test_a_file_by_name_goes_before_the_one_that_lies_around() -> None:
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


def test_a_wrong_variable_names_itself() -> None:
    with pytest.raises(SettingsError, match="GYMSERVE_PRT: there is no setting PRT; did you mean PORT?"):
        settings.load(None, {"GYMSERVE_PRT": "1"}, {})
    with pytest.raises(SettingsError, match="GYMSERVE_PORT: PORT must be an integer"):
        settings.load(None, {"GYMSERVE_PORT": "many"}, {})


def test_a_missing_file_that_was_named_is_told() -> None:
    with pytest.raises(SettingsError, match=r"nowhere.py cannot be read"):
        settings.load("nowhere.py", {}, {})


def test_they_reach_another_process_unchanged() -> None:
    loaded = settings.load(None, {"GYMSERVE_DATA": "x", "GYMSERVE_PRELOAD": "false"}, {})
    assert settings.from_json(loaded.to_json()) == loaded and loaded.PRELOAD is False


def test_example_and_documentation_are_those_of_the_table() -> None:
    assert (ROOT / "localsettings.py.example").read_text() == settings.example()
    assert (ROOT / "docs" / "settings.md").read_text() == settings.table()


def test_the_example_loads_as_it_is() -> None:
    assert settings.load(local(settings.example()), {}, {}) == settings.Settings()
