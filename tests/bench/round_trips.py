"""Round trips of one chunk with new and bad samples, counted in libpq's own trace; one JSON line."""

import json

from tests.bench.stage import upload

# isort: split
from healthkit.tasks import import_chunk
from tests.app.test_round_trips import trips_of

if __name__ == "__main__":
    batch = upload(chunk_size=200, chunks=4)
    import_chunk(str(batch.batch_id), 0)
    print(json.dumps(trips_of(batch.batch_id, 1)[0]))
