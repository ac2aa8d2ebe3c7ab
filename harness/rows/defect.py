"""Planted defects: known-bad configurations and code that a scenario must catch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Final

from harness.anomaly import Kind
from harness.drivers.protocol import StackSpec
from harness.errors import LabError

DEFECTS: Final = Path(__file__).resolve().parents[2] / "scenarios" / "defects"
OVERLAY: Final = DEFECTS / "overlay"
PLANTED: Final = "PLANTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One known-bad stack: what it changes, and every net that it takes away so that nothing hides it.

    `plants` are modules in `scenarios/defects/overlay/plants`, which change the app as it is imported; the rest
    changes the scenario's StackSpec.
    """

    name: str
    title: str
    nets_removed: tuple[str, ...]
    wrong_without_fault: bool = False
    plants: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    service_env: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    replicas: Mapping[str, int] = field(default_factory=dict)
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stop_timeout_s: float | None = None

    def planted_in(self, spec: StackSpec) -> StackSpec:
        """The scenario's stack with this defect in it."""
        services = {*spec.service_env, *self.service_env}
        return replace(
            spec,
            env={**spec.env, **self.env, **({PLANTED: ",".join(self.plants)} if self.plants else {})},
            service_env={
                each: {**spec.service_env.get(each, {}), **self.service_env.get(each, {})} for each in services
            },
            replicas={**spec.replicas, **self.replicas},
            commands={**spec.commands, **self.commands},
            pins={**spec.pins, **self.pins},
            overlay=OVERLAY if self.plants else spec.overlay,
            stop_timeout_s=spec.stop_timeout_s if self.stop_timeout_s is None else self.stop_timeout_s,
        )

    def expecting(self, kind: Kind) -> Planted:
        """This defect in a scenario that must name an anomaly of this kind."""
        return Planted(defect=self, expected=kind)


@dataclass(frozen=True, slots=True)
class Planted:
    """A defect and the anomaly that a scenario must name when it is planted."""

    defect: Defect
    expected: Kind


def load_defect(name: str) -> Defect:
    """The planted defect in `scenarios/defects/<name>.py`, which calls it DEFECT.

    Raises: LabError when there is none.
    """
    try:
        defect = import_module(f"scenarios.defects.{name}").DEFECT
    except ModuleNotFoundError as error:
        known = sorted(each.stem for each in DEFECTS.glob("[a-z]*.py"))
        raise LabError(f"no planted defect {name!r}; known are {', '.join(known)}") from error
    if not isinstance(defect, Defect):
        raise LabError(f"scenarios/defects/{name}.py: DEFECT is not a Defect")
    return defect
