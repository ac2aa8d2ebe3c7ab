"""The life of a dashboard: opened on a person's account, rendered a few times, four queries at once each time."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Final

from harness.devices import probes
from harness.devices.phone import Phone
from harness.load.booth import Booth
from harness.load.meter import RENDER
from harness.load.people import DASHBOARD, FIRST_DAY, LAST_DAY, reader_plan
from harness.load.timetable import Arrival

GROUP: Final = "dashboard"
RENDERS: Final = 3
THINK_S: Final = (1.0, 3.0)
SHOWN: Final = (
    "HKQuantityTypeIdentifierHeartRate",
    "HKQuantityTypeIdentifierStepCount",
    "HKQuantityTypeIdentifierActiveEnergyBurned",
    "HKCategoryTypeIdentifierSleepAnalysis",
)


def live(booth: Booth, arrival: Arrival) -> None:
    """A few renders, with the time between that a person looks."""
    plan = reader_plan(booth.order, person=arrival.person, number=arrival.number)
    rng = random.Random(f"{booth.order.seed}/{DASHBOARD}{arrival.number}")
    with closing(booth.client()) as client, ThreadPoolExecutor(len(SHOWN)) as side_by_side:
        caller = booth.caller(plan, client=client, group=GROUP)
        if not Phone(plan, caller=caller, ledger=booth.ledger).register():
            return
        for _ in range(RENDERS):
            if booth.stop.is_set():
                return
            begun = time.monotonic()
            asked = [
                side_by_side.submit(
                    probes.ask_aggregates,
                    caller,
                    type_identifier=shown,
                    first=FIRST_DAY,
                    last=LAST_DAY,
                    is_final=False,
                )
                for shown in SHOWN
            ]
            for each in asked:
                each.result()
            booth.meter(GROUP, RENDER, took_s=time.monotonic() - begun)
            caller.wait(rng.uniform(*THINK_S))
