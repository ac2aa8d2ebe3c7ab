"""Receipts: the evidence, from outside the app, that a fault took effect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Receipt:
    """One source outside the app, read before and after. `source` says where a reader could look for himself."""

    source: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Injected:
    """One fault as it happened. Stamps are aware UTC; None where it did not come to that."""

    name: str
    target: str
    injected_at: datetime
    bitten_at: datetime | None = None
    healed_at: datetime | None = None
    receipt: Receipt | None = None

    def label(self) -> str:
        """As a person names it: `kill_worker(worker-1)`."""
        return f"{self.name}({self.target})"


def doubts_about(injected: Injected) -> tuple[str, ...]:
    """Why this fault proves nothing; empty when its receipt is sound.

    Sound: it bit, its source read differently before and after, and inject ≤ bite ≤ heal.
    """
    doubts: list[str] = []
    if injected.receipt is None or injected.bitten_at is None:
        return (f"{injected.label()} left no receipt: it may not have bitten",)
    if injected.receipt.before == injected.receipt.after:
        doubts.append(f"{injected.label()}: {injected.receipt.source} read the same before and after")
    if injected.healed_at is None:
        doubts.append(f"{injected.label()} was never seen healed")
    stamps = [at for at in (injected.injected_at, injected.bitten_at, injected.healed_at) if at is not None]
    if stamps != sorted(stamps):
        doubts.append(f"{injected.label()}: not in the order inject, bite, heal")
    return tuple(doubts)
