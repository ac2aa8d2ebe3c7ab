"""GET /metrics, for Prometheus.

All figures come from rows and from the broker, none from this process (which writes down first what it has counted):
any replica tells the same, workers and beat need no port of their own, and a restart loses nothing.
"""

from collections.abc import Iterable, Iterator, Mapping

import psycopg
import redis
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily
from prometheus_client.registry import Collector

from backend.env import config
from backend.health.broker import BrokerState, broker_problems, broker_read
from backend.health.problem import Problem, ProblemCode
from backend.health.rows import row_problems
from backend.publish_counts import PUBLISH_FAILURES, TASK_ENQUEUED, publish_counts
from healthkit.counters import CLAIMS_LOST, CLAIMS_REFUSED, counters_read

_MISSED_TICKS = "SELECT count(*) FROM scheduling_tick WHERE status = 'missed'"
_FIGURES = f"""
SELECT (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(c.created_at)), 0)
        FROM healthkit_import_chunk c JOIN healthkit_import_batch b ON b.id = c.batch_id
        WHERE c.status = 'PENDING' AND b.status <> 'PENDING'),
       (SELECT count(*) FROM healthkit_dead_letter WHERE redriven_at IS NULL),
       (SELECT count(*) FROM healthkit_rejected_sample WHERE resolved_at IS NULL),
       ({_MISSED_TICKS})
"""
_FIGURE_NAMES = (
    ("app_oldest_pending_chunk_seconds", "Age of the oldest chunk that waits to be imported."),
    ("app_dead_letters", "Dead letters that nobody has re-driven."),
    ("app_rejected_samples", "Samples kept aside with a reason."),
    ("app_missed_ticks", "Ticks that were given up: not published in time, or published and never done."),
)
_COUNTER_NAMES = (
    (PUBLISH_FAILURES, "app_publish_failures", "Messages that were not sent, or nobody knows."),
    (CLAIMS_LOST, "app_claims_lost", "Claims that were taken over before their holder committed."),
    (CLAIMS_REFUSED, "app_claims_refused", "Deliveries that found nothing to do: counted no-ops."),
)


def metrics(request: HttpRequest) -> HttpResponse:
    """All figures; a store that is away shows as app_store_up 0, and its figures are absent."""
    registry = CollectorRegistry()
    registry.register(_Reading())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Reading(Collector):
    """One reading of both stores."""

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: registering must not read the stores."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Read, and shape what was read."""
        build = GaugeMetricFamily("app_build_info", "The running build.", labels=["build"])
        build.add_metric([config().build_id], 1)
        yield build
        is_up = GaugeMetricFamily("app_store_up", "Whether the store answered.", labels=["store"])
        problems: list[Problem] = []
        try:
            problems += row_problems()
            publish_counts().flush()
            yield from _row_metrics()
            is_up.add_metric(["postgres"], 1)
        except (DatabaseError, psycopg.Error):
            problems.append(Problem(code=ProblemCode.DATABASE_UNREACHABLE, detail="no answer"))
            is_up.add_metric(["postgres"], 0)
        try:
            state = broker_read()
            problems += broker_problems(state)
            yield from _broker_metrics(state)
            is_up.add_metric(["redis"], 1)
        except redis.RedisError:
            problems.append(Problem(code=ProblemCode.BROKER_UNREACHABLE, detail="no answer"))
            is_up.add_metric(["redis"], 0)
        yield is_up
        found = GaugeMetricFamily("app_problems", "Problems of /health/imports by code.", labels=["code"])
        for code in ProblemCode:
            found.add_metric([code.value], sum(problem.code is code for problem in problems))
        yield found


def _row_metrics() -> Iterator[Metric]:
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES)
        for (name, meaning), value in zip(_FIGURE_NAMES, cursor.fetchone(), strict=True):
            yield GaugeMetricFamily(name, meaning, value=float(value))
        batches = GaugeMetricFamily("app_batches", "Imports by status.", labels=["status"])
        cursor.execute("SELECT status, count(*) FROM healthkit_import_batch GROUP BY status")
        for status, number in cursor.fetchall():
            batches.add_metric([status], number)
        yield batches
    yield from _counter_metrics(counters_read())


def _counter_metrics(counters: Mapping[str, int]) -> Iterator[Metric]:
    for counter, name, meaning in _COUNTER_NAMES:
        yield CounterMetricFamily(name, meaning, value=counters.get(counter, 0))
    enqueued = CounterMetricFamily("app_tasks_enqueued", "Messages sent, by task.", labels=["task"])
    finished = CounterMetricFamily("app_tasks_finished", "Tasks ended, by outcome.", labels=["task", "outcome"])
    duration = SummaryMetricFamily("app_task_seconds", "Run time of tasks that ended.", labels=["task"])
    ends: dict[str, int] = {}
    for name, value in sorted(counters.items()):
        match name.split(":"):
            case [kind, task] if kind == TASK_ENQUEUED:
                enqueued.add_metric([task], value)
            case ["task_finished", task, outcome]:
                finished.add_metric([task, outcome], value)
                ends[task] = ends.get(task, 0) + value
    for task, number in ends.items():
        duration.add_metric([task], count_value=number, sum_value=counters.get(f"task_ms:{task}", 0) / 1000)
    yield from (enqueued, finished, duration)


def _broker_metrics(state: BrokerState) -> Iterator[Metric]:
    depth = GaugeMetricFamily("app_queue_depth", "Messages that wait.", labels=["queue"])
    oldest = GaugeMetricFamily("app_queue_oldest_seconds", "Age of the next message.", labels=["queue"])
    consumers = GaugeMetricFamily("app_queue_consumers", "Live workers that consume it.", labels=["queue"])
    for queue in state.queues:
        depth.add_metric([queue.name], queue.depth)
        oldest.add_metric([queue.name], queue.oldest_s or 0)
        consumers.add_metric([queue.name], queue.consumers)
    yield from (depth, oldest, consumers)
