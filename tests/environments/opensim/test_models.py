"""The models are fetched from osim-rl's release, and errors name the command that fetches them."""

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from gymserve.environments import Catalogue, requirements
from gymserve.environments.opensim import __main__ as command
from gymserve.environments.opensim.physics import models
from gymserve.protocol.errors import UnknownEnvironment
from tests.environments.opensim.release import ARCHIVE


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(models.FOLDER_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


def release(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(f"{models.RELEASE}/{name}")
            member.size = 4
            archive.addfile(member, io.BytesIO(b"here"))
    return path


def test_every_model_names_its_licence() -> None:
    for name in models.NAMES:
        assert "creativecommons.org/licenses/by/3.0" in models.path(name).read_text()


def test_only_models_and_geometry_are_kept(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"osim/models/{name}" for name in models.NAMES]
    others = ["osim/models/hop8dof9musc.osim", "osim/env/arm.py", "setup.py", "osim/models/Geometry/../../x.vtp"]
    archive = release(nowhere.with_suffix(".tar.gz"), *names, "osim/models/Geometry/femur.vtp", *others)
    monkeypatch.setattr(models, "SHA256", hashlib.sha256(archive.read_bytes()).hexdigest())
    assert not models.present()
    assert command.main(["fetch", str(archive)]) == 0
    assert models.present()
    kept = {str(path.relative_to(nowhere)) for path in nowhere.rglob("*") if path.is_file()}
    assert kept == {*models.NAMES, "Geometry/femur.vtp"}


def test_another_archive_is_refused(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = release(nowhere.with_suffix(".tar.gz"), f"osim/models/{models.ARM}")
    assert command.main(["fetch", str(archive)]) == 1
    assert "is not osim-rl-3.0.11 as released" in capsys.readouterr().err
    assert not nowhere.exists()


@pytest.mark.usefixtures("nowhere")
def test_without_models_the_catalogue_names_the_command() -> None:
    catalogue = Catalogue()
    with pytest.raises(UnknownEnvironment, match="the OpenSim models is missing here: python -m .*opensim fetch"):
        catalogue.resolve("osim/Arm2D-v0")
    (row,) = catalogue.rows(["osim/Arm2D-v0"])
    assert (row["missing"], row["install"]) == ("the OpenSim models", models.FETCH)


def test_the_error_for_a_missing_model_names_the_command(nowhere: Path) -> None:
    with pytest.raises(models.ModelsMissing, match="arm2dof6musc.osim is missing: python -m"):
        models.path(models.ARM)


def test_without_opensim_the_catalogue_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "_installed", lambda module: module != "opensim")
    with pytest.raises(UnknownEnvironment, match=r'opensim is missing here: pip install "gymserve\[opensim\]"'):
        Catalogue().resolve("L2M2019Env")


@pytest.mark.needs("osim-rl")
def test_the_downloaded_release_has_the_models(nowhere: Path) -> None:
    assert command.main(["fetch", str(ARCHIVE)]) == 0
    assert models.present()


def test_a_failed_download_says_why(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"file://{nowhere}")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert command.main(["fetch"]) == 1
    assert "which can also be given by its path: ERROR: No matching distribution" in capsys.readouterr().err
    assert not nowhere.exists()
