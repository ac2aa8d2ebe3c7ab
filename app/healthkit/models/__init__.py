"""The tables of health imports, one noun a file."""

from healthkit.models.anchor import Anchor
from healthkit.models.anchor_move import AnchorMove
from healthkit.models.counter import Counter
from healthkit.models.daily_aggregate import DailyAggregate
from healthkit.models.data_record import DataRecord
from healthkit.models.data_source import DataSource
from healthkit.models.dead_letter import DeadLetter
from healthkit.models.import_batch import ImportBatch
from healthkit.models.import_chunk import ImportChunk
from healthkit.models.record_fingerprint import RecordFingerprint
from healthkit.models.redrive import Redrive
from healthkit.models.rejected_sample import RejectedSample
from healthkit.models.sample_type import SampleType

__all__ = [
    "Anchor",
    "AnchorMove",
    "Counter",
    "DailyAggregate",
    "DataRecord",
    "DataSource",
    "DeadLetter",
    "ImportBatch",
    "ImportChunk",
    "RecordFingerprint",
    "Redrive",
    "RejectedSample",
    "SampleType",
]
