"""What can be done to a link; every proxy that the lab uses speaks these."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Latency:
    """Delay in both directions, uniformly within ± `jitter_s`."""

    latency_s: float
    jitter_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """At most this many bytes per second in each direction."""

    bytes_per_s: int


@dataclass(frozen=True, slots=True)
class Slicer:
    """Cut the stream into packets of about `size_bytes`, `delay_s` apart."""

    size_bytes: int
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class BlackHole:
    """Swallow everything, old connections and new ones (new ones connect but hear nothing); no reset while it lasts."""


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """Connections that are open now go silent for ever, also after heal, without a reset; new ones pass."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset every open connection once, idle ones too; new ones pass."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse new connections and close the open ones."""


Toxic = Latency | Bandwidth | Slicer | BlackHole | HalfOpen | Reset | Refuse


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a proxy counted on one link since it started; `up` is towards the store, `open` and `oldest` are now.

    `oldest` says as the how many-th the oldest of the open connections was opened; None when none is open.
    """

    up_bytes: int
    down_bytes: int
    opened: int
    open: int
    silenced: int
    oldest: int | None
