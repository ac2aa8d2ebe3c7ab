"""`except Exception: pass` around the import: the chunk is finished as if it had held nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any


def _swallow(chunk: Any) -> None:
    real = chunk.chunk_import

    def chunk_import(raw: Any, claim: Any, classified: Any, samples: Sequence[Any]) -> Any:
        try:
            return real(raw, claim, classified, samples)
        except (*chunk.INFRASTRUCTURE_ERRORS, chunk.ClaimLost):
            raise
        except Exception:  # noqa: BLE001  # that is the defect
            return real(raw, claim, dataclasses.replace(classified, accepted=[]), samples)

    chunk.chunk_import = chunk_import


PATCHES = {"healthkit.importing.chunk": _swallow}
