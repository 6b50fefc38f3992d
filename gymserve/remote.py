"""`gymnasium.make("remote/…")` without an import of ours: registers the client's names as soon as Gymnasium is imported.

Gymnasium knows no plug-ins, so `gymserve.pth` in site-packages imports this as Python starts, where $GYMSERVE_SERVER names a
server and nowhere else. Nothing is imported besides until somebody imports Gymnasium.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

OURS = ("client", "grader", "gymserve")


class _WithRemoteNames(MetaPathFinder):
    """Lets the import of Gymnasium end with that of `client`."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "gymnasium":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                _register()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _register() -> None:
    """Imports `client`, if that name is ours and not that of somebody's own module.

    Not in the midst of an import of ours, as where the server or the grader starts: it would find half a module.
    """
    ours = [module for name, module in sys.modules.items() if name.partition(".")[0] in OURS]
    if any(getattr(module.__spec__, "_initializing", False) for module in ours):
        return
    spec = importlib.util.find_spec("client")
    if spec is not None and spec.origin and Path(spec.origin).parents[1] == Path(__file__).parents[1]:
        importlib.import_module("client")


sys.meta_path.insert(0, _WithRemoteNames())
