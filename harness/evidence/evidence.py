"""Evidence: all that checkers may look at. Collected once, after quiesce; nothing in here reaches the stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb

from harness.anomaly import Kind
from harness.receipt import Injected

PORTION = 5_000
"""Rows of an answer that are in memory at a time, where it is streamed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaExit:
    """A replica's main process that ended. `is_told`: the lab signalled, stopped or killed it."""

    replica: str
    code: int
    is_told: bool
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoudSignal:
    """What must be heard of a fault, after its bite and not before.

    `fault` is its label; of one that is done again and again, the first time counts.
    `sources` are alternatives, any one is enough: `log:<event>`, `health:<problem code>`, `metric:<name>`.
    `names` are texts of which one must stand in the signal (a replica, a batch id, a chunk); empty: none need be.
    `until_s` is how long after the heal it may first come.
    """

    fault: str
    sources: tuple[str, ...]
    names: tuple[str, ...] = ()
    until_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Something measured that has a limit. `took_s` None: it had not come when the deadline passed."""

    name: str
    kind: Kind
    took_s: float | None
    bound_s: float
    ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What this scenario declares. Everything not declared is an anomaly when it happens.

    `may_give_up`: chunks as (batch key, index). `may_clean`: retention runs. `must_abandon`: batch keys whose upload
    a phone left unfinished on purpose, so that they must end ABANDONED. `refusals`: replicas that must refuse to
    start with exit code 78. `may_miss_ticks`: entries whose ticks may leave no row while a fault lasts and
    `tick_slack_s` after it. `executions`: (batch key, index) to the exact number of executions. `witnesses`: names of
    what must have been seen. `is_control`: no fault, so nothing may be loud, refused or done twice.
    `is_plain_load`: no fault either, so no request may be refused; crowded as it is, it may be loud and run things
    again.
    """

    may_give_up: frozenset[tuple[str, int]] = frozenset()
    may_clean: bool = False
    must_abandon: frozenset[str] = frozenset()
    refusals: frozenset[str] = frozenset()
    may_miss_ticks: frozenset[str] = frozenset()
    executions: Mapping[tuple[str, int], int] = field(default_factory=dict)
    loud: tuple[LoudSignal, ...] = ()
    witnesses: tuple[str, ...] = ()
    is_control: bool = False
    is_plain_load: bool = False
    has_faults: bool = True
    least_acknowledged: int = 1
    reminder_late_s: float = 10.0
    tick_slack_s: float = 10.0
    request_bound_s: float = 15.0
    unacked_bound_s: float = 120.0
    overdue_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One scenario's evidence. `tables` holds what `harness/evidence/tables.py` lists.

    `moving` says what had not come to rest at the deadline. `states` are the replicas' states at the end. `lab_errors`
    are failures of the lab itself (a phone's traceback): they make a run INCONCLUSIVE, never VALID.
    `faults` hold their receipts; `witnesses` map a name to what was seen (empty: nothing).
    """

    tables: duckdb.DuckDBPyConnection
    expectations: Expectations = Expectations()
    faults: tuple[Injected, ...] = ()
    witnesses: Mapping[str, Any] = field(default_factory=dict)
    exits: tuple[ReplicaExit, ...] = ()
    states: Mapping[str, str] = field(default_factory=dict)
    moving: tuple[str, ...] = ()
    bounds: tuple[Bound, ...] = ()
    lab_errors: tuple[str, ...] = ()
    started_at: datetime | None = None
    ended_at: datetime | None = None

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """The answer to a query over the tables."""
        found: list[tuple[Any, ...]] = self.tables.execute(sql, parameters or {}).fetchall()
        return found

    def stream(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """The same, a portion at a time: for answers with samples in them, of which there may be millions."""
        reader = self.tables.cursor().execute(sql)
        while portion := reader.fetchmany(PORTION):
            yield from portion
