"""Judgement: observe the truth once, put it together with what the experiment saw, and let the checkers speak."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from harness.checkers.suite import Findings, check_all
from harness.clock import utc_now
from harness.errors import LabError
from harness.evidence.evidence import Evidence, Expectations
from harness.evidence.observe import observe
from harness.evidence.rows_file import save_rows
from harness.evidence.tables import open_tables
from harness.experiment.experiment import Experiment
from harness.experiment.schedule import ENTRIES
from harness.experiment.steady import glance
from harness.rows.row import CONTROL, PLAIN
from harness.times import REDELIVERY_CADENCE_S, Recovery, takeover_s, tick_report_s

REMINDER_SLACK_S = 10.0


def judge_run(x: Experiment) -> Findings:
    """Ask every phone once more, observe, check.

    Raises: LabError when the truth cannot be read.
    """
    for demand in x.later:
        demand()
    if x.has_worked:
        x.fleet.read_back()
    x.note_exits()
    try:
        with closing(open_tables()) as tables:
            observe(
                tables,
                directory=x.directory,
                dsn=x.stack.dsn(),
                redis_url=x.stack.redis_url(),
                receiver_url=x.stack.receiver_url(),
                api_urls=x.stack.api_urls(),
                logs=x.logs,
                with_fingerprints=x.may_clean,
            )
            save_rows(tables, x.directory)
            evidence = Evidence(
                tables=tables,
                expectations=expectations_of(x),
                faults=x.harm.injected(),
                witnesses=x.witnesses,
                exits=tuple(x.exits),
                states=glance(x.stack),
                moving=x.moving,
                bounds=tuple(x.bounds),
                lab_errors=x.fleet.errors(),
                started_at=x.started_at,
                ended_at=utc_now(),
            )
            findings = check_all(evidence)
    except OSError as error:
        raise LabError(f"the truth could not be read: {error}") from error
    return replace(findings, anomalies=(*x.anomalies, *findings.anomalies))


def expectations_of(x: Experiment) -> Expectations:
    """What this experiment's evidence is held to."""
    stretch = x.contention.stretch()
    pace_s = x.pace.allowance_s(x.plan.samples(), stretch=stretch) if x.pace is not None else x.quiesce_deadline_s()
    is_store_away = x.faulted and x.row.recovery is Recovery.STORE_AWAY
    return Expectations(
        may_give_up=frozenset(x.may_give_up),
        may_clean=x.may_clean,
        must_abandon=frozenset(x.must_abandon),
        refusals=frozenset(x.refusals),
        may_miss_ticks=frozenset(ENTRIES) if is_store_away else frozenset(x.may_miss_ticks),
        executions=dict(x.executions),
        loud=tuple(x.loud),
        witnesses=tuple(x.missing_witnesses),
        is_control=x.row.id == CONTROL,
        is_plain_load=x.row.id == PLAIN,
        has_faults=x.faulted,
        least_acknowledged=x.plan.samples() if x.has_worked else 0,
        reminder_late_s=REMINDER_SLACK_S + takeover_s(x.times, x.row.recovery) + pace_s,
        tick_slack_s=tick_report_s(x.times) * x.crowding(),
        request_bound_s=x.request_bound_s if x.request_bound_s is not None else x.habits.request_timeout_s,
        overdue_s=x.times.overdue_s,
        unacked_bound_s=x.times.visibility_timeout_s + REDELIVERY_CADENCE_S,
    )
