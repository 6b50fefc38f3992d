from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithRemote(build_py):
    """Brings `gymserve.pth` into site-packages, with which `gymnasium.make("remote/…")` needs no import."""

    def run(self) -> None:
        super().run()
        folder = self.get_finalized_command("install").install_lib if self.editable_mode else self.build_lib
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.copy_file("gymserve.pth", folder)


setup(cmdclass={"build_py": BuildWithRemote})
