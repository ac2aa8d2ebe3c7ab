"""Invariant: log lines hold no health value, no reminder's text, no code, token or password; rows no token or key.

*Health value*: the UUID of a sample that was sent, its start as a time stamp, its number where that has twelve digits
or more (the lab sends some: shorter ones stand in any log), or the identifier or name of a source. *Code*: a
verification code that a phone was told, as a number of its own. *Token*: anything that looks like a device's token, an
account's key or the app's secret key (43 or 64 characters of base64url, among them a digit and both cases).
*Password*: one in a URL.
Read are the lines of api, worker and beat; one anomaly names the first line of a replica and event, not what leaked.
*Rows*: those of devices and users, in which no token that a phone was told and no account's key may stand as it is.

Cannot see: short values without a time or an id beside them; what is hidden in another encoding; a token that is stored
with letters or digits attached.
"""

from __future__ import annotations

from harness.anomaly import Anomaly, Kind
from harness.checkers.tally import named
from harness.evidence.evidence import Evidence

# Lines with what could be meant, once; `ts` is not searched, it holds digits of its own.
_LINES = """
CREATE OR REPLACE TEMP TABLE app_lines AS
SELECT row_number() OVER () AS n, at_ms, replica, coalesce(event, 'log') AS event, batch, idx,
       regexp_replace(coalesce(line::VARCHAR, message), '"ts": ?"[^"]*"', '') AS text
FROM log_lines WHERE service IN ('api', 'worker', 'beat')
"""
_WORDS = """
CREATE OR REPLACE TEMP TABLE words AS
SELECT 'the UUID of a sample' AS what, uuid::VARCHAR AS word FROM samples WHERE uuid IS NOT NULL
UNION SELECT 'the time of a sample', strftime(epoch_ms(start_ms), '%Y-%m-%dT%H:%M:%S.%g') FROM samples
UNION SELECT 'the value of a sample', value::VARCHAR FROM samples WHERE length(value::VARCHAR) > 12
UNION SELECT 'a verification code', facts->>'code' FROM ops WHERE kind = 'request_code' AND facts->>'code' IS NOT NULL
"""
# Each shape is taken out of the lines and looked up: a join of every line with every word would be far too much.
_SHAPES = (
    r"([0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12})",
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3})",
    r"\b(\d+\.\d{8,})\b",
    r"(?:^|[^\w.])(\d{6})(?:\W|$)",
)
_FOUND = """
WITH parts AS (
    SELECT DISTINCT n, unnest(regexp_extract_all(text, $shape, 1)) AS word FROM app_lines
)
SELECT w.what, l.replica, l.event, count(DISTINCT l.n), arg_min(l.batch, l.n), arg_min(l.idx, l.n), min(l.at_ms)
FROM parts p JOIN words w ON lower(w.word) = lower(p.word) JOIN app_lines l USING (n) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
# Few enough to be searched for one by one; JSON escapes what is not ASCII: a source with an umlaut is not found.
_PHRASES = """
SELECT w.what, l.replica, l.event, count(DISTINCT l.n), arg_min(l.batch, l.n), arg_min(l.idx, l.n), min(l.at_ms)
FROM app_lines l JOIN (
    SELECT DISTINCT 'the text of a reminder' AS what, facts->>'text' AS word FROM ops WHERE kind = 'create_reminder'
    UNION SELECT DISTINCT 'the source of a sample', source FROM samples WHERE mark <> 'bad'
) w ON length(w.word) > 5 AND contains(l.text, w.word) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_SECRETS = r"""
SELECT what, replica, event, count(DISTINCT n), arg_min(batch, n), arg_min(idx, n), min(at_ms) FROM (
    SELECT *, 'a password in a URL' AS what FROM app_lines
    WHERE regexp_matches(text, '[a-z][a-z0-9+]*://[^\s:/@]*:[^\s@/*]+@')
    UNION ALL
    SELECT * EXCLUDE word, 'what looks like a token or a key' FROM (
        SELECT *, unnest(regexp_extract_all(
            text, '(?:^|[^\w./+=-])([A-Za-z0-9_-]{43}|[A-Za-z0-9_-]{64})(?:[^\w./+=-]|$)', 1)) AS word FROM app_lines)
    WHERE regexp_matches(word, '[0-9]') AND regexp_matches(word, '[a-z]') AND regexp_matches(word, '[A-Z]'))
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
# The ledger keeps the hashes of both.
_STORED = """
WITH told AS (SELECT facts FROM ops WHERE kind IN ('register', 'register_everybodys'))
SELECT s.what, w.source, w.id
FROM (SELECT source, id, unnest(regexp_extract_all(text, '[A-Za-z0-9_-]{20,}')) AS word FROM account_rows) w
JOIN (SELECT 'the token of a device' AS what, facts->>'token_sha256' AS hash FROM told
      UNION SELECT 'the key of an account', facts->>'account_sha256' FROM told) s ON s.hash = sha256(w.word)
GROUP BY ALL ORDER BY ALL
"""


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """What leaked into the logs, by replica and event; then what is stored as it is."""
    evidence.tables.execute(_LINES)
    evidence.tables.execute(_WORDS)
    rows = [row for shape in _SHAPES for row in evidence.rows(_FOUND, {"shape": shape})]
    rows += evidence.rows(_PHRASES)
    rows += evidence.rows(_SECRETS)
    return tuple(
        named(
            Kind.LEAKED,
            [
                (
                    f"{times} log lines of {replica} ({event}) hold {what}",
                    {"service": replica, "event": event, "batch": batch, "chunk": idx, "first_seen_ms": first},
                )
                for what, replica, event, times, batch, idx, first in rows
            ]
            + [
                (f"row {row} of {source} holds {what} as it is", {"row": f"{source} {row}"})
                for what, source, row in evidence.rows(_STORED)
            ],
        )
    )
