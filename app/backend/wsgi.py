"""The WSGI application. Imported in gunicorn's master: what fails to import fails there, once and loudly."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

application = get_wsgi_application()

# For their effect on start-up time, after Django is set up: the master pays for the schema and the broker's client
# once for all its workers, and no first request does.
import kombu.transport.redis  # noqa: E402, F401

import backend.endpoint  # noqa: E402, F401
