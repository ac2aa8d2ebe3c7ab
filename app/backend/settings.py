"""Django settings. Values come from `backend.env`; a process that cannot run with them exits here, with status 78.

Celery's settings are those that begin with CELERY_. Each is spelled once, with the hazard that it answers.
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from kombu import Queue

from backend.env import config
from backend.logs import logging_dict
from backend.service import current_service

CONFIG = config()

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = CONFIG.secret_key
DEBUG = CONFIG.debug
# Only the API answers HTTP, and only the API is given its host names.
ALLOWED_HOSTS = list(CONFIG.allowed_hosts)
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "accounts",
    "healthkit",
    "scheduling",
    "reminders",
]
MIDDLEWARE = [
    "backend.middleware.request_guard",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "backend.urls"
WSGI_APPLICATION = "backend.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
STATIC_URL = "/static/"
# The admin's own files, straight from its package: there are no others, so nothing has to be collected.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = CONFIG.max_body_bytes
SECURE_CONTENT_TYPE_NOSNIFF = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = CONFIG.app_env == "prod"
# The load balancer ends TLS and says so; only it can reach the API.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LOGGING = logging_dict(
    service=current_service().value, replica=CONFIG.service_name, build=CONFIG.build_id, level=CONFIG.log_level
)


def _database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        # Names each session after its process, and bounds every wait for an answer.
        "ENGINE": "backend.postgres",
        "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        # Kept between requests and tasks, but asked first: a restarted Postgres costs the statement in flight only.
        # Celery's Django fixup closes them around forks, so no child ever shares its parent's socket.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        # No session state, so that a transaction-pooling proxy can stand in between.
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": {
            "connect_timeout": max(2, round(CONFIG.database_connect_timeout_s)),
            # A peer that vanished is noticed although nothing is being sent.
            "keepalives": 1,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            **dict(parse_qsl(parts.query)),
        },
    }


DATABASES = {"default": _database(CONFIG.database_url)}

KEY_PREFIX = "backend"  # of the cache, which may share its Redis with the broker
CACHES = {
    "default": {
        # Never a per-process cache: a code made on one replica must work on the other.
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": CONFIG.cache_url,
        "KEY_PREFIX": KEY_PREFIX,
        "OPTIONS": {
            "CLIENT_CLASS": "django_redis.client.DefaultClient",
            # Pickle from a shared Redis is remote code execution.
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            # A Redis that is frozen must not hold a request longer than this.
            "SOCKET_CONNECT_TIMEOUT": CONFIG.broker_connect_timeout_s,
            "SOCKET_TIMEOUT": CONFIG.broker_read_timeout_s,
            "CONNECTION_POOL_KWARGS": {"socket_keepalive": True, "health_check_interval": 10},
        },
    }
}

# --- Celery -----------------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = CONFIG.redis_url
# Progress lives in Postgres; a second truth in Redis would be wrong after every outage, and its client can freeze beat.
CELERY_RESULT_BACKEND = None
# One for all threads: a thread of its own asks each installed package for backends, which costs a publish 6 ms.
CELERY_RESULT_BACKEND_THREAD_SAFE = True
CELERY_TASK_IGNORE_RESULT = True
# Pickle from a broker is remote code execution.
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True
# Processes, so that one poisoned chunk takes one child with it and a hard limit can kill it.
CELERY_WORKER_POOL = "prefork"
# Acked after the work: a worker that dies mid-chunk leaves its message.
CELERY_TASK_ACKS_LATE = True
# A child that is lost (out of memory) puts its message back instead of acking it as failed; our cap on interruptions
# is what ends a poisoned chunk.
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# Failures and timeouts are recorded in rows, so their messages may go.
CELERY_TASK_ACKS_ON_FAILURE_OR_TIMEOUT = True
# Celery closes every connection after each task; a new one costs as much as importing a chunk. Django's own rules
# (CONN_MAX_AGE, health checks) end connections instead: see `backend.celery`.
CELERY_DB_REUSE_MAX = 1_000_000
# A heavy chunk must not sit on light tasks that another worker could do.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A name that no worker consumes is a mistake to be told about, not a queue to be made.
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_QUEUES = (Queue("default"), Queue("high"))
# Reminders are small and due; they do not wait behind imports.
CELERY_TASK_ROUTES = {"reminders.*": {"queue": "high"}}
# A task that never comes back ends; chunks have limits of their own, on the task.
CELERY_TASK_SOFT_TIME_LIMIT = CONFIG.task_soft_limit_s
CELERY_TASK_TIME_LIMIT = CONFIG.task_hard_limit_s
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Above every claim, so that a message does not come back while its chunk can still be alive.
    "visibility_timeout": CONFIG.visibility_timeout_s,
    # Without these a frozen Redis or a half-open connection leaves a worker deaf, and a request hanging.
    "socket_connect_timeout": CONFIG.broker_connect_timeout_s,
    "socket_timeout": CONFIG.broker_read_timeout_s,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
# Redis may start later than we do; a long outage is waited for, not died of.
CELERY_BROKER_CONNECTION_RETRY = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# A Redis that refuses (its memory is full) is waited for like one that is away; by default the worker dies of it.
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_CONNECTION_TIMEOUT = CONFIG.broker_connect_timeout_s
CELERY_BROKER_POOL_LIMIT = 10
# One quick second try, on a fresh connection; anything longer is the sweeper's work (see `backend.publish`).
CELERY_TASK_PUBLISH_RETRY = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
# After a stop signal running chunks get this long, then are re-queued; it ends well before SIGKILL.
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = CONFIG.soft_shutdown_s
# Idle workers need no window: nothing that matters waits in a worker's memory (no ETA tasks), so stopping is quick.
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = False
# Off: a chunk that is running when Redis blips commits anyway, and its message's second coming is a counted no-op.
# Cancelling would throw good work away and turn every blip into an interruption.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# Logs are ours (JSON, unbuffered); Celery must not put its handlers or its stdout proxy in between.
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
# Events are for Flower; nobody reads them here, and they would load the broker.
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TASK_SEND_SENT_EVENT = False
# The schedule is in Postgres: it survives an ephemeral disk, can be edited in the admin, and is led under a lease.
CELERY_BEAT_SCHEDULER = "scheduling.scheduler:LeasedScheduler"

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
