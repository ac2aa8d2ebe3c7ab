"""C: configuration. The table variable × service is the harness's own; the app's is what is judged."""

from __future__ import annotations

from harness.anomaly import Kind
from harness.demands.demands import expect_alarm_of_each, expect_healthy
from harness.demands.required import REQUIRED, expect_change_refused, expect_refusal
from harness.drivers.protocol import StackSpec
from harness.experiment.experiment import Experiment
from harness.faults.config import ChangeEnv
from harness.rows.row import Load, Tier, row
from harness.times import LAB
from scenarios.defects import (
    compass_everywhere,
    insecure_unchecked,
    localhost_redis,
    no_import_checks,
    optional_app_env,
    order_unchecked,
)

CODES_OF_MESSAGES = ("queue_without_consumer", "message_overdue")
CODES = (*CODES_OF_MESSAGES, "import_overdue")
FEW = Load(phones=2, samples=400, planted_phones=2, planted_samples=400)
ELSEWHERE = StackSpec(
    commands={
        "worker": (
            "sh",
            "-c",
            'REDIS_URL="${REDIS_URL%/*}/${REDIS_DATABASE:-0}" exec celery -A backend worker -c 4 '
            '-Q "${WORKER_QUEUES:-default,high}"',
        )
    }
)
"""The worker's own command, with database and queues taken from variables that the row changes."""
NO_ORDER = {
    "LOCK_TIMEOUT_S": f"{2 * LAB.visibility_timeout_s:g}",
    "IDLE_IN_TRANSACTION_TIMEOUT_S": f"{2 * LAB.visibility_timeout_s:g}",
    "CLAIM_TIMEOUT_S": f"{LAB.visibility_timeout_s:g}",
    "CHUNK_SOFT_LIMIT_S": f"{2 * LAB.visibility_timeout_s:g}",
    "CHUNK_HARD_LIMIT_S": f"{2 * LAB.visibility_timeout_s:g}",
    "TASK_SOFT_LIMIT_S": "100000",
    "BEAT_RENEW_S": f"{LAB.beat_lease_s:g}",
    "SOFT_SHUTDOWN_S": f"{LAB.stop_timeout_s:g}",
}
"""No time is below the one that must be longer."""
UNFIT = (
    ({"REDIS_URL": "  "}, "with a blank REDIS_URL"),
    ({"DATABASE_URL": "somewhere"}, "with a malformed DATABASE_URL"),
    ({"LOCK_TIMEOUT_S": f"{LAB.claim_timeout_s:g}"}, "with a lock timeout beyond the transaction's"),
    (NO_ORDER, "with no times in order"),
)
INSECURE = (
    ({"SECRET_KEY": "django-insecure-" + 64 * "0"}, "with a known SECRET_KEY in production"),
    ({"ALLOWED_HOSTS": "*"}, "for any host in production"),
    (
        {"DEBUG": "true", "SECRET_KEY": "short", "OPERATOR_TOKEN": "short"},
        "with technical error pages and short secrets in production",
    ),
)
COMPASS = StackSpec(env={"COMPASS_ENABLED": "true", "COMPASS_DB_USER": "legacy"})


@row("C1", variant="api", title="each required variable missing from api", tier=Tier.CORE,
     load=FEW,
     defects=(optional_app_env.DEFECT.expecting(Kind.NOT_REFUSED),))  # fmt: skip
@row("C1", variant="worker", title="each required variable missing from worker", tier=Tier.CORE,
     load=FEW,
     defects=(optional_app_env.DEFECT.expecting(Kind.NOT_REFUSED),))  # fmt: skip
@row("C1", variant="beat", title="each required variable missing from beat", tier=Tier.CORE,
     load=FEW,
     defects=(optional_app_env.DEFECT.expecting(Kind.NOT_REFUSED),))  # fmt: skip
def test_c1_required_variable_missing(x: Experiment) -> None:
    """That service exits 78, and one message names the variable and the service."""
    service = x.row.variant
    x.work()
    x.await_uploads()
    for variable in REQUIRED[service]:
        expect_refusal(x, replica=x.stack.replicas(service)[-1], without=variable)


@row("C2", title="a variable blank, malformed, or out of the order of times", load=FEW,
     defects=(order_unchecked.DEFECT.expecting(Kind.NOT_REFUSED),))  # fmt: skip
def test_c2_variable_unfit(x: Experiment) -> None:
    """The service exits 78, and one message names each variable and the service."""
    x.work()
    x.await_uploads()
    replica = x.stack.replicas("worker")[-1]
    for changes, words in UNFIT:
        expect_change_refused(x, replica=replica, changes=changes, named=changes, words=words)


@row("C7", title="settings that are fit for development only, in production", load=FEW,
     defects=(insecure_unchecked.DEFECT.expecting(Kind.NOT_REFUSED),))  # fmt: skip
def test_c7_insecure_in_production(x: Experiment) -> None:
    """The service exits 78, and one message names each variable and the service."""
    x.work()
    x.await_uploads()
    replica = x.stack.replicas("api")[-1]
    for changes, words in INSECURE:
        expect_change_refused(x, replica=replica, changes={"APP_ENV": "prod", **changes}, named=changes, words=words)


@row("C3", title="a legacy variable that only the API has", tier=Tier.CORE, load=FEW, spec=COMPASS,
     defects=(compass_everywhere.DEFECT.expecting(Kind.CRASHED),))  # fmt: skip
def test_c3_legacy_variable_elsewhere(x: Experiment) -> None:
    """No service needs what it does not use."""
    x.work()
    for service in ("worker", "beat"):
        replica = x.stack.replicas(service)[-1]
        changed = x.inject(ChangeEnv(replica, {"COMPASS_DB_USER": None}))
        expect_healthy(x, replica, after="COMPASS_DB_USER was taken away")
        x.heal(changed)


@row("C4", title="worker without REDIS_URL", tier=Tier.FAST, load=FEW,
     defects=(localhost_redis.DEFECT.expecting(Kind.NOT_REFUSED),))  # fmt: skip
def test_c4_worker_without_redis_url(x: Experiment) -> None:
    """It refuses to start, and says why, instead of waiting for a Redis on its own host for ever."""
    x.work()
    x.await_uploads()
    expect_refusal(x, replica=x.stack.replicas("worker")[-1], without="REDIS_URL")


@row("C5", variant="database", title="workers listening on another Redis database", tier=Tier.CORE,
     load=FEW, spec=ELSEWHERE,
     defects=(no_import_checks.DEFECT.expecting(Kind.SILENT),))  # fmt: skip
@row("C5", variant="queue", title="workers listening on another queue", tier=Tier.CORE,
     load=FEW, spec=ELSEWHERE,
     defects=(no_import_checks.DEFECT.expecting(Kind.SILENT),))  # fmt: skip
def test_c5_worker_listens_elsewhere(x: Experiment) -> None:
    """Of nobody listening, waiting messages and still imports each is told, though every process is healthy.

    Workers on another database go on importing: their own sweeps dispatch there.
    """
    changes = {"REDIS_DATABASE": "5"} if x.row.variant == "database" else {"WORKER_QUEUES": "high"}
    for replica in x.stack.replicas("worker"):
        x.inject(ChangeEnv(replica, changes))
    x.work()
    expect_alarm_of_each(x, *(CODES if x.row.variant == "queue" else CODES_OF_MESSAGES))
    x.heal_all()
