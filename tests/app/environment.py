"""The environment blocks of the app's tests: patient for what runs in the tests' own process, quick for real workers.

Nothing in this process waits for time to pass (`age` moves rows' stamps instead), so its times are long: however slow
the machine, nothing expires that a test did not let expire. Real processes have to be waited for, so theirs are short.
"""

from typing import Final

from tests.app.servers import plan_servers

SERVERS = plan_servers()
SWEEP_INTERVAL_S: Final = 60.0

ENVIRONMENT: Final = {
    "APP_ENV": "dev",
    "SECRET_KEY": "a-key-for-tests-only-0123456789abcdef",
    "ALLOWED_HOSTS": "testserver,localhost",
    "OPERATOR_TOKEN": "operator-for-tests",
    "REMINDER_GATEWAY_URL": "http://127.0.0.1:9/reminders",
    "SERVICE_NAME": "tests-1",
    "CLEANUP_ENABLED": "true",
    "DATABASE_URL": SERVERS.database_url,
    "REDIS_URL": SERVERS.redis_url,
    "DJANGO_SETTINGS_MODULE": "backend.settings",
    "CHUNK_SOFT_LIMIT_S": "480",
    "CHUNK_HARD_LIMIT_S": "540",
    "CLAIM_TIMEOUT_S": "600",
    "CLIENT_CHECK_INTERVAL_S": "0.5",
    "SWEEP_INTERVAL_S": f"{SWEEP_INTERVAL_S:g}",
    "VISIBILITY_TIMEOUT_S": "1200",
    "CHUNK_RETRY_DELAYS_S": "60,120,240",
    "PUBLISH_BOUND_S": "20",
    "BROKER_CONNECT_TIMEOUT_S": "20",
    "BROKER_READ_TIMEOUT_S": "20",
    "DATABASE_CONNECT_TIMEOUT_S": "30",
    "STATEMENT_TIMEOUT_S": "120",
    "LOCK_TIMEOUT_S": "100",
    "IDLE_IN_TRANSACTION_TIMEOUT_S": "180",
    "BEAT_LEASE_S": "180",
    "BEAT_RENEW_S": "60",
    "OVERDUE_S": "300",
}

QUICK: Final = {
    "CHUNK_SOFT_LIMIT_S": "40",
    "CHUNK_HARD_LIMIT_S": "45",
    "CLAIM_TIMEOUT_S": "50",
    "SWEEP_INTERVAL_S": "1",
    "VISIBILITY_TIMEOUT_S": "60",
    "SOFT_SHUTDOWN_S": "2",
    "STOP_TIMEOUT_S": "60",
    "CHUNK_RETRY_DELAYS_S": "1,2,4",
    "PUBLISH_BOUND_S": "1",
    "BROKER_CONNECT_TIMEOUT_S": "1",
    "BROKER_READ_TIMEOUT_S": "2",
    "LOCK_TIMEOUT_S": "20",
    "IDLE_IN_TRANSACTION_TIMEOUT_S": "30",
    "BEAT_LEASE_S": "6",
    "BEAT_RENEW_S": "1",
    "OVERDUE_S": "5",
}
