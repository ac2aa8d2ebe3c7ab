"""Prints, as JSON, what planted defects would replace in the app and cannot: names that are gone, other parameters.

A process of its own, since some plants change classes in place.
"""

from __future__ import annotations

import inspect
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import django

SETTINGS = "backend.settings"
OVERLAY = Path(__file__).resolve().parents[2] / "scenarios" / "defects" / "overlay"


class Held:
    """A module or class as a plant sees it; what the plant sets is compared with what is there, and goes no further."""

    def __init__(self, owner: Any, problems: list[str]) -> None:
        vars(self).update(owner=owner, problems=problems)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.owner, name)
        return Held(found, self.problems) if inspect.isclass(found) else found

    def __setattr__(self, name: str, value: object) -> None:
        if self.owner.__name__ == SETTINGS:
            return  # Django's and Celery's own settings need not be in the module.
        where = f"{self.owner.__name__}.{name}"
        if not hasattr(self.owner, name):
            self.problems.append(f"{where} is not there")
        elif inspect.isfunction(own := getattr(self.owner, name)) and not takes(value, own):
            self.problems.append(f"{where} takes {inspect.signature(own)}, its replacement does not")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.owner(*args, **kwargs)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self.owner,)


def takes(value: object, own: Any) -> bool:
    """Whether a call that fits the app's own function, with whatever it may be given, fits its replacement."""
    taken = inspect.signature(own).parameters.values()
    places = [each for each in taken if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    names = {each.name: None for each in taken if each.kind is each.KEYWORD_ONLY}
    try:
        inspect.signature(value).bind(*places, **names)  # type: ignore[arg-type]  # raises for what is no function
    except TypeError:
        return False
    return True


def main() -> None:
    """Every plant, every module that it changes."""
    sys.path.insert(0, str(OVERLAY))
    django.setup()
    problems: list[str] = []
    held = 0
    for path in sorted((OVERLAY / "plants").glob("[a-z]*.py")):
        for name, patch in import_module(f"plants.{path.stem}").PATCHES.items():
            patch(Held(import_module(name), problems))
            held += 1
    print(json.dumps({"held": held, "problems": problems}))


if __name__ == "__main__":
    main()
