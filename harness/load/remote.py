"""A load run against a stack anywhere: nothing is known of it but its URL, so the verdict is what its API can show.

Held against the ledger: every batch ended and showed, every account's aggregates count exactly the samples that were
acknowledged for it, every answer was right. Cannot see: records behind the aggregates, queues, logs; no fault can be
injected there. One phone an account is asked about: where two write, the API does not tell whose samples are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from harness.anomaly import Anomaly, Kind
from harness.evidence.files import load_ledger
from harness.evidence.tables import create_tables, open_tables
from harness.load.order import LoadOrder
from harness.load.people import account, is_alone
from harness.load.timetable import Arrival

_WRONG: Final = "SELECT op, kind, device, w FROM (SELECT *, unnest(wrong) AS w FROM ops) ORDER BY op"
_UNENDED: Final = """
SELECT s.batch_key, s.device, p.status FROM ops s LEFT JOIN (
    SELECT batch_key, arg_max(facts->'progress'->>'status', ended_ms) AS status FROM ops
    WHERE kind = 'progress' AND outcome = 'OK' GROUP BY batch_key) p USING (batch_key)
WHERE s.kind = 'start_import' AND s.outcome = 'OK' AND coalesce(p.status, 'unasked') <> 'COMPLETED' ORDER BY ALL
"""
# Told: samples whose upload was answered OK. What stays UNKNOWN may or may not be there: neither is wrong.
_COUNTS: Final = """
WITH told AS (
    SELECT batch_key, idx, bool_or(outcome = 'OK') AS is_ok FROM ops WHERE kind = 'upload_chunk' GROUP BY ALL
), sent AS (
    SELECT s.user, s.type, count(*) FILTER (WHERE t.is_ok) AS acknowledged, count(*) AS attempted
    FROM samples s LEFT JOIN told t USING (batch_key, idx) WHERE s.mark = 'valid' GROUP BY ALL
), shown AS (
    SELECT user, type, list_sum(CAST(json_extract(facts, '$.days[*].sampleCount') AS BIGINT[])) AS shown
    FROM ops WHERE kind = 'aggregates' AND outcome = 'OK' AND facts->>'final' = 'true'
)
SELECT user, type, acknowledged, attempted, coalesce(shown, 0) FROM shown JOIN sent USING (user, type)
WHERE list_contains($users, user) ORDER BY ALL
"""
_TOTALS: Final = """
SELECT count(*), count(*) FILTER (WHERE t.is_ok) FROM samples s LEFT JOIN (
    SELECT batch_key, idx, bool_or(outcome = 'OK') AS is_ok FROM ops WHERE kind = 'upload_chunk' GROUP BY ALL) t
USING (batch_key, idx)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenThroughApi:
    """What the API showed. `counts` are named as in run.json; `asked` is how many accounts and types were compared."""

    anomalies: tuple[Anomaly, ...]
    counts: Mapping[str, int]
    asked: int


NOTHING_SEEN: Final = SeenThroughApi(anomalies=(), counts={}, asked=0)


def judge_api(directory: Path, *, order: LoadOrder, phones: tuple[Arrival, ...]) -> SeenThroughApi:
    """Hold what the API answered against the ledger in this directory."""
    with closing(open_tables()) as tables:
        create_tables(tables)
        load_ledger(tables, directory)
        alone = [account(order, person=each.person) for each in phones if is_alone(each.person)]
        compared = tables.execute(_COUNTS, {"users": alone}).fetchall()
        found = [*_wrong_answers(tables), *_unended(tables), *_miscounted(compared)]
        ((attempted, acknowledged),) = tables.execute(_TOTALS).fetchall()
    counts = {
        "attempted": attempted,
        "acknowledged": acknowledged,
        "present": sum(shown for *_, shown in compared),
        "lost": sum(max(0, told - shown) for _, _, told, _, shown in compared),
        "duplicated": sum(max(0, shown - sent) for _, _, _, sent, shown in compared),
    }
    return SeenThroughApi(anomalies=tuple(found), counts=counts, asked=len(compared))


def _wrong_answers(tables: duckdb.DuckDBPyConnection) -> list[Anomaly]:
    return [
        Anomaly(kind=Kind.WRONG_ANSWER, summary=f"{kind} of {device}: {problem}", ids={"op": op, "device": device})
        for op, kind, device, problem in tables.execute(_WRONG).fetchall()
    ]


def _unended(tables: duckdb.DuckDBPyConnection) -> list[Anomaly]:
    return [
        Anomaly(
            kind=Kind.LATE,
            summary=f"batch {key} was last seen {status or 'by nobody'}, not COMPLETED",
            ids={"batch_key": key, "device": device},
        )
        for key, device, status in tables.execute(_UNENDED).fetchall()
    ]


def _miscounted(compared: list[Any]) -> list[Anomaly]:
    found = []
    for user, type_, acknowledged, attempted, shown in compared:
        if acknowledged <= shown <= attempted:
            continue
        kind = Kind.LOST if shown < acknowledged else Kind.DUPLICATED
        found.append(
            Anomaly(
                kind=kind,
                summary=f"{type_} of {user}: {acknowledged} samples acknowledged, {shown} in the aggregates",
                ids={"user": user, "type": type_},
            )
        )
    return found
