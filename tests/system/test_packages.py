"""What pip installs: the client alone, or with an extra the grader or the server, each away from the checkout."""

import importlib.metadata
import json
import re
import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest

from gymserve import client
from gymserve.grader.challenges import examples
from gymserve.system import extras
from tests import ROOT
from tests.support.packages import Environment, InstalledServer, build, checkout
from tests.support.servers import Server, wait_for

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
STEPS = """
import sys
import gymnasium
before = set(sys.modules)
from gymserve import client
loaded = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
env = client.make("CartPole-v1")
observation, _ = env.reset(seed=0)
assert env.observation_space.contains(observation) and env.step(env.action_space.sample())[1] == 1.0
env.close()
env = gymnasium.make("gymserve.client:remote/CartPole-v1")
assert env.reset(seed=0)[0].shape == (4,)
env.close()
print(sorted(loaded))
"""
EVERY_MODULE = """
import importlib, json, pathlib, gymserve
top = pathlib.Path(gymserve.__file__).parent
outcomes = {}
for path in sorted(top.rglob("*.py")):
    name = ".".join(path.relative_to(top.parent).with_suffix("").parts).removesuffix(".__init__")
    if not name.endswith(("__main__", "migrations.env")) and ".versions." not in name:
        try:
            importlib.import_module(name)
            outcomes[name] = ""
        except Exception as error:
            outcomes[name] = f"{type(error).__name__}: {error}"
print(json.dumps(outcomes))
"""
WITHOUT_NEED = """
import re
from importlib.metadata import distributions
installed = {each.name.lower().replace("_", "-"): each.requires or [] for each in distributions()}
lines = [each.split(";") for requires in installed.values() for each in requires]
needed = {re.split("[^\\w-]", name)[0].lower().replace("_", "-") for name, *conditions in lines if not conditions}
print(sorted(needed - set(installed)), sorted(set(installed) - needed))
"""
CLIENT = (
    "click",
    "cloudpickle",
    "farama-notifications",
    "gymnasium",
    "msgspec",
    "numpy",
    "typing-extensions",
    "urllib3",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("packages") / "checkout")


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    return build(source, "wheel", source.parent / "dist")


@pytest.fixture(scope="module", params=["linked", pytest.param("installed", marks=pytest.mark.long)])
def alone(wheel: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Environment:
    return Environment(tmp_path_factory.mktemp("alone"), wheel, linked=CLIENT if request.param == "linked" else ())


def files(wheel: Path) -> dict[str, int]:
    """Name → checksum of every file in a wheel, without its list of them."""
    with zipfile.ZipFile(wheel) as archive:
        return {each.filename: each.CRC for each in archive.infolist() if not each.filename.endswith("RECORD")}


def test_the_wheel_has_every_file_of_the_product_below_one_name(wheel: Path, source: Path) -> None:
    names = {name for name in files(wheel) if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in names} == {"gymserve", "gym_http_server.py"}
    folders = [(source / "gymserve", ""), (source / "client", "gymserve/"), (source / "grader", "gymserve/")]
    found_files = [(path, prefix) for folder, prefix in folders for path in folder.rglob("*") if path.is_file()]
    expected = {prefix + str(path.relative_to(source)) for path, prefix in found_files}
    assert len(expected) > 300 and not expected - names
    shipped = {f"gymserve/grader/challenges/example_challenges/{each}.toml" for each in examples.names()}
    assert len(shipped) > 4 and not shipped - names


@pytest.mark.long
def test_the_sdist_builds_the_same_wheel(source: Path, wheel: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(build(source, "sdist", tmp_path / "sdist"), tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert (unpacked / "constraints.txt").is_file()
    assert files(build(unpacked, "wheel", tmp_path / "wheel")) == files(wheel)


def test_the_client_alone_steps_and_loads_little(alone: Environment, server: Server) -> None:
    ended = alone.run("python", "-c", STEPS, GYMSERVE_SERVER=server.url)
    assert ended.stdout == "['gymserve', 'msgspec', 'urllib3']\n", ended.stderr
    ended = alone.run("python", "-c", WITHOUT_NEED)
    assert ended.stdout == "[] ['gymserve']\n", "pip would install other packages than these"


def test_the_clients_programs_need_nothing_else(alone: Environment, server: Server) -> None:
    played = alone.run("gymserve", "env", "random", "--server", server.url, "--episodes", "1")
    assert played.returncode == 0 and played.stdout.startswith("episode 1: "), played.stderr


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("gymserve", "server"),
        ("gymserve verify bundle.zip", "grade"),
        pytest.param("gymserve db current", "server", marks=pytest.mark.long),
        pytest.param("python -m gym_http_server", "server", marks=pytest.mark.long),
        pytest.param("python -m gymserve.grader run cartpole --agent random", "grade", marks=pytest.mark.long),
    ],
)
def test_a_program_of_another_extra_says_its_name_in_one_line(alone: Environment, command: str, extra: str) -> None:
    ended = alone.run(*command.split())
    assert ended.returncode == 1 and ended.stderr.count("\n") == 1, ended.stderr
    assert f": needs gymserve[{extra}]: pip install 'gymserve[{extra}]' (" in ended.stderr


@pytest.mark.long
def test_every_module_can_be_imported_or_says_its_extra(alone: Environment) -> None:
    ended = alone.run("python", "-c", EVERY_MODULE)
    outcomes = json.loads(ended.stdout)
    failed = {name: text for name, text in outcomes.items() if text}
    assert len(outcomes) > 300 and {"gymserve.journal", "gymserve.web.app", "gymserve.grader.proofs.receipt"} <= set(
        failed
    )
    pictures = failed.pop("gymserve.environments.car_race.picture")  # the catalogue says what an environment needs
    assert pictures.endswith("No module named 'PIL'")
    assert not {name: text for name, text in failed.items() if not text.startswith("MissingExtra: needs gymserve[")}
    assert not [name for name in failed if name.startswith(("gymserve.client", "gymserve.protocol", "gymserve.system"))]


def test_every_extra_is_in_the_table_of_the_installation() -> None:
    (table,) = re.findall(r"\| extra \|.*\n\|---.*\n((?:\|.*\n)+)", (ROOT / "docs" / "operations.md").read_text())
    documented = {name for row in table.splitlines() for name in re.findall(r"`([\w-]+)`", row.split("|")[1])}
    assert documented == set(PROJECT["optional-dependencies"])


@pytest.mark.parametrize("extra", sorted(extras.PACKAGES))
def test_an_extra_checks_the_packages_that_it_installs(extra: str) -> None:
    owners = importlib.metadata.packages_distributions()
    checked = {owners[name][0].lower().replace("_", "-") for name in extras.PACKAGES[extra]}
    names = {re.split(r"[\[><=]", each)[0] for each in PROJECT["optional-dependencies"][extra]}
    assert checked == names - {"gymnasium", "gymserve"}  # whose absence Gymnasium and the other extra report


@pytest.mark.long
def test_the_grader_practises_and_verifies(wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path, wheel, "grade")
    assert not list(environment.packages.glob("sqlalchemy*")) and not list(environment.packages.glob("flask*"))
    grader = ("python", "-m", "gymserve.grader")
    practised = environment.run(*grader, "run", "cartpole", "--agent", "random", "--trials", "3", "--keep", "kept")
    assert practised.returncode == 0 and "score " in practised.stdout, practised.stderr
    (journal,) = (environment.folder / "kept").rglob("journal")
    verified = environment.run(*grader, "verify", str(journal.parent))
    assert verified.returncode == 0 and "verified" in verified.stdout, verified.stdout + verified.stderr
    for command in (grader, ("gymserve", "challenge")):
        checked = environment.run(*command, "check", "cartpole", "--seconds", "0.5")
        assert checked.returncode == 0 and "replay: verified" in checked.stdout, checked.stderr
    assert not list(environment.folder.glob("gymserve-data"))  # it has no server
    assert "needs gymserve[server]" in environment.run("gymserve").stderr


@pytest.mark.long
def test_the_server_serves_steps_grades_and_shows_pages(wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path, wheel, "server")
    (data := tmp_path / "data").mkdir()
    listed = environment.run("gymserve", "--data", str(data), "challenge", "examples")
    assert set(examples.names()) <= {line.split()[0] for line in listed.stdout.splitlines()}, listed.stderr
    for command in ("db upgrade", "challenge create cartpole"):
        ended = environment.run("gymserve", "--data", str(data), *command.split())
        assert ended.returncode == 0, ended.stdout + ended.stderr
    server = InstalledServer(environment, data, AUTH="token")
    try:
        _, key = server.account("participant")
        with client.make("CartPole-v1", server=server.url, token=key) as env:
            assert env.reset(seed=0)[0].shape == (4,) and env.step(0)[1] == 1.0
        result = client.submit("cartpole", lambda observation: 0, server=server.url, token=key, progress=False)
        path = f"/submissions/{result.submission_id}/"
        row = wait_for(
            lambda: (now := server.get(path, Authorization=f"Bearer {key}").json)["state"] == "graded" and now
        )
        assert row["verdict"] == "verified"
        static = {name for name in files(wheel) if name.startswith("gymserve/web/static/") and "vendor/" not in name}
        assert len(static) > 4
        submission = f"/boards/cartpole/submissions/{result.submission_id}"
        pages = ("/login", "/docs", "/redoc", "/boards/cartpole", submission)
        for path in (*pages, *(name.removeprefix("gymserve/web") for name in static)):
            assert server.get(path).status == 200, path
    finally:
        assert server.stop() == 0
    for option, is_said in (((), True), (("-c", "python:gymserve.web.serving.settings"), False)):
        ended = environment.run("gunicorn", *option, "-b", "0.0.0.0:0", "gym_http_server:app", GYMSERVE_DATA=str(data))
        assert ended.returncode != 0 and "FORCE_OPEN" in ended.stderr  # refused, so that it ends
        assert ("without gymserve's settings" in ended.stderr) == is_said, ended.stderr
