"""Settings that serve `POST /graphql/` by the plain view (`plain_urls`), everything else as in the app."""

from backend.settings import *  # noqa: F403 - a settings module is made of all the names of the one it changes

ROOT_URLCONF = "tests.bench.plain_urls"
