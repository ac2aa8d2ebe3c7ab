"""gunicorn's configuration; `gunicorn backend.wsgi` in this directory picks it up by its name.

It is read in the master, before any fork: a configuration that cannot be run with ends the master with status 78.
Checked in a worker it would be forked, die and be forked again, for ever.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from backend.env import load_or_exit
from backend.logs import logging_dict
from backend.service import Service

_config = load_or_exit(Service.API)

bind = _config.bind
workers = 2
worker_class = "gthread"
threads = 4
# The application is imported once, in the master: one that crashes at import ends the master, loudly.
preload_app = True
# Above the load balancer's idle timeout (60 s), so that the balancer closes first: below it, a request could be sent
# into a connection that is being closed.
keepalive = 75
# A worker whose main thread does not answer is replaced. Requests are bounded by their own timeouts.
timeout = 60
# After SIGTERM requests in flight may end; then the rest of the stop timeout is for closing.
graceful_timeout = int(max(1, min(30, _config.stop_timeout_s - 2)))
# Heartbeat files on a disk can block; memory cannot.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None
accesslog = "-"
access_log_format = '%(h)s "%(m)s %(U)s" %(s)s %(b)s bytes %(M)s ms'
logconfig_dict = logging_dict(
    service=Service.API.value, replica=_config.service_name, build=_config.build_id, level=_config.log_level
)
# Nobody controls it at run time, and a socket in a home directory is one more thing that two masters fight over.
control_socket_disable = True
