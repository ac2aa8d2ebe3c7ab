"""Faults of the reminder gateway: it refuses, is slow, hangs, or cuts the connection after it has read the request."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import httpx

from harness.drivers.protocol import Stack
from harness.tls import trusted

TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class HarmGateway:
    """The gateway answers `status` to every reminder, or with `is_cutting` nothing: it reads the request and hangs up.

    With `delay_s` it thinks for so long before, and then takes the reminder as usual; with both it says nothing for so
    long, and then hangs up. Blast radius: reminders that are due. Heals by letting it answer as usual; what still waits
    goes on at once. It shows when the first reminder comes.
    """

    status: int = 503
    is_cutting: bool = False
    delay_s: float = 0.0
    target: str = "gateway"
    source: str = "the receiver's own list of requests and how it answered them"
    bite_timeout_s: float = 90.0
    leaves_as_new: bool = True

    @property
    def name(self) -> str:
        """`refuse_reminders`, `cut_reminders`, `hang_reminders` or `slow_reminders`."""
        if self.is_cutting:
            return "hang_reminders" if self.delay_s else "cut_reminders"
        return "slow_reminders" if self.delay_s else "refuse_reminders"

    def look(self, stack: Stack) -> str:
        """How many requests were accepted, refused, cut."""
        answer = httpx.get(f"{stack.receiver_url().rstrip('/')}/received", timeout=TIMEOUT_S, verify=trusted())
        answer.raise_for_status()
        seen = Counter(_fate(each["status"]) for each in answer.json())
        return f"{seen['cut']} cut, {seen['refused']} refused, {seen['accepted']} accepted"

    def inject(self, stack: Stack) -> None:
        """Tell it how to behave."""
        answer = {"drop": True} if self.is_cutting else {} if self.delay_s else {"status": self.status}
        self._behave(stack, {**answer, "delay_s": self.delay_s})

    def has_bitten(self, *, before: str, now: str) -> bool:
        """One more was refused (or cut, or accepted in the end) than before."""
        return _counts(now)[self._place] > _counts(before)[self._place]

    def heal(self, stack: Stack) -> None:
        """As usual again."""
        self._behave(stack, {})

    def is_whole(self, stack: Stack) -> bool:
        """It answers 200 again."""
        answer = httpx.get(f"{stack.receiver_url().rstrip('/')}/behaviour", timeout=TIMEOUT_S, verify=trusted()).json()
        return bool(answer["status"] == 200 and not answer["drop"] and not answer["delay_s"])

    @property
    def _place(self) -> int:
        """Where its own kind of answer stands in a reading."""
        return 0 if self.is_cutting else 2 if self.delay_s else 1

    def _behave(self, stack: Stack, behaviour: dict[str, Any]) -> None:
        url = f"{stack.receiver_url().rstrip('/')}/behaviour"
        httpx.put(url, json=behaviour, timeout=TIMEOUT_S, verify=trusted()).raise_for_status()


def _fate(status: int | None) -> str:
    if status is None:
        return "cut"
    return "accepted" if status < 300 else "refused"


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(each.split(" ")[0]) for each in text.split(", "))
