"""Makes the table of the plain view; the app's own are made by `migrate_stack`."""

import tests.bench.stage  # noqa: F401 - sets Django up

# isort: split
from tests.bench.plain_urls import make_table

if __name__ == "__main__":
    make_table()
