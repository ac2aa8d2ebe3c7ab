"""The states of a batch and of a chunk, and every allowed change of state.

Each change is one UPDATE guarded by the state it starts from, so a change that is not in these tables hits no row; the
values are check constraints. Chunk:

    PENDING -> DONE       importing/transaction.py   its samples are committed
    PENDING -> FAILED     importing/attempts.py      data errors or interruptions used up
    FAILED  -> PENDING    redriving.py               an operator put it back

Batch:

    PENDING    -> PROCESSING   the accepting service  every index has arrived
    PENDING    -> ABANDONED    sweeping.py            the upload never finished; what arrived is imported
    PROCESSING -> COMPLETED    finalising.py          nothing is pending, something could be imported
    PROCESSING -> FAILED       finalising.py          nothing is pending, nothing could be imported
    COMPLETED  -> PROCESSING   redriving.py           a failed chunk was put back
    FAILED     -> PROCESSING   redriving.py           the same

An ABANDONED batch keeps its state; its `finished_at` says when what had arrived was dealt with. Rejected samples that
are imported after all reopen nothing.
"""

from django.db import models


class BatchStatus(models.TextChoices):
    """States of a batch."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    ABANDONED = "ABANDONED"


class ChunkStatus(models.TextChoices):
    """States of a chunk."""

    PENDING = "PENDING"
    DONE = "DONE"
    FAILED = "FAILED"
