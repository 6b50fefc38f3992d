"""A second name for a package: in a checkout, `import client` gives `gymserve.client`, and both names the same modules."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


def alias(name: str, package: str) -> None:
    """Makes `name` and the modules below it other names of `package` and of its modules, without importing these."""
    sys.meta_path.insert(0, _Alias(name, package))
    sys.modules[name] = importlib.import_module(package)


class _Alias(MetaPathFinder, Loader):
    """Finds `name.module` as `package.module`."""

    def __init__(self, name: str, package: str) -> None:
        self._name, self._package = f"{name}.", f"{package}."

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith(self._name) or name.endswith(".__main__"):  # `python -m` needs that one's code
            return None
        real = importlib.util.find_spec(self._package + name.removeprefix(self._name))
        return ModuleSpec(name, self, loader_state=real.name) if real else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(spec.loader_state)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state  # which the import has just replaced
