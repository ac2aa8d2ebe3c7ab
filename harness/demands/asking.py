"""Who called while harm lasted: a row whose harm no call met says nothing of calls."""

from __future__ import annotations

import threading
from contextlib import closing
from http import HTTPStatus

from harness.devices import codes
from harness.devices.caller import Caller
from harness.devices.client import PhoneClient
from harness.devices.generator import DevicePlan
from harness.devices.phone import Phone
from harness.errors import Inconclusive
from harness.experiment.experiment import Experiment
from harness.experiment.harm import Live
from harness.ledger import noted_ops
from harness.receipt import Injected

SHOWN = 5
_VISITOR = DevicePlan(user="visitor", device="visitor/phone", name="Visitor", zone="UTC", batches=())


def ask_for_codes(x: Experiment) -> None:
    """Somebody without samples asks every API replica for a code and tries wrong ones, each once: no second attempt.

    Phones do so by themselves only when their backfill is sent. Returns when all is answered, or nobody waits for it
    any more. Raises: Inconclusive when the visitor is not registered.
    """
    client = PhoneClient(x.balancer, timeout_s=x.habits.request_timeout_s)
    with closing(client):
        caller = Caller(
            user=_VISITOR.user,
            device=_VISITOR.device,
            client=client,
            ledger=x.ledger,
            stop=threading.Event(),
            retry_for_s=0.0,
        )
        if not Phone(_VISITOR, caller=caller, ledger=x.ledger).register():
            raise Inconclusive("a visitor who wants verification codes could not register")
        for replica in x.balancer.names():
            codes.code_across_replicas(caller, replicas=(replica,))
            codes.try_wrong_code(caller, replica=replica)


def expect_asked(x: Experiment, live: Live | None, *kinds: str, status: HTTPStatus | None = None) -> None:
    """Calls of each of these kinds must have begun while this harm lasted; and, if told so, have got this answer.

    Without kinds any call will do.
    """
    if live is None:
        return

    def see() -> None:
        for kind in kinds or (None,):
            answer = "" if status is None else f" answered with {status.value}"
            met = met_by(x, live.injected, kind, status=status)
            x.witness(f"{kind or 'a call'}{answer} during {live.injected.label()}", met[:SHOWN])

    x.later.append(see)


def met_by(x: Experiment, harm: Injected, kind: str | None, *, status: HTTPStatus | None = None) -> list[str]:
    """Attempts of this kind, or of any, that began between the bite and the heal; in words, as they ended."""
    since, until = harm.bitten_at, harm.healed_at
    if since is None or until is None:
        return []
    return [
        f"{op['op']} at {attempt['at']}, {attempt['replica']}: {attempt['status'] or attempt['error']}"
        for op in noted_ops(x.ledger.directory)
        if kind in (None, op["kind"])
        for attempt in op["attempts"]
        if since.isoformat() <= attempt["at"] <= until.isoformat() and status in (None, attempt["status"])
    ]
