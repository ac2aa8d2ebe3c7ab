"""Tables of the scheduler."""

from scheduling.models.beat_lease import BeatLease
from scheduling.models.tick import Tick, TickStatus

__all__ = ["BeatLease", "Tick", "TickStatus"]
