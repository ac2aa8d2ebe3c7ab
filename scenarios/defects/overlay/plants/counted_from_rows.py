"""Two uploads that wait for one lock see the same rows, and come to the same number."""

from __future__ import annotations

from typing import Any

from . import swapped

COUNT = "(SELECT count(*)::int + 1 FROM healthkit_import_chunk c WHERE c.batch_id = $1)"


def _count(accepting: Any) -> None:
    accepting._UPLOAD = swapped(accepting._UPLOAD, "b.uploaded_count + 1", COUNT)


PATCHES = {"healthkit.accepting": _count}
