"""Plants defects in the app from outside: this directory stands before the app on the import path, Python imports us.

PLANTED names the plants, separated by commas. Each changes modules right after they were executed, before anybody has
seen them; the app knows nothing of it. A plant whose module is never imported changes nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

Patch = Callable[[ModuleType], None]


class PlantingLoader(Loader):
    """Executes a module as its own loader does, then changes it."""

    def __init__(self, loader: Loader, patches: Sequence[Patch]) -> None:
        self._loader = loader
        self._patches = patches

    def __getattr__(self, name: str) -> object:
        """Whatever else a loader can do, as the module's own does."""
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the module's own loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute, then plant."""
        self._loader.exec_module(module)
        for patch in self._patches:
            patch(module)


class Planter(MetaPathFinder):
    """Finds the modules that a plant wants to change, and puts itself behind their loader."""

    def __init__(self, patches: dict[str, list[Patch]]) -> None:
        self._patches = patches
        self._finding: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The real spec with our loader around it; None for any other module."""
        if fullname not in self._patches or fullname in self._finding:
            return None
        self._finding.add(fullname)
        try:
            spec = find_spec(fullname)
        finally:
            self._finding.discard(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = PlantingLoader(spec.loader, self._patches[fullname])
        return spec


def plant(names: str) -> None:
    """Install the plants of these names. Raises: ModuleNotFoundError for one that does not exist."""
    patches: dict[str, list[Patch]] = {}
    for name in filter(None, names.split(",")):
        for module, patch in import_module(f"plants.{name}").PATCHES.items():
            patches.setdefault(module, []).append(patch)
    if patches:
        sys.meta_path.insert(0, Planter(patches))


plant(os.environ.get("PLANTED", ""))
