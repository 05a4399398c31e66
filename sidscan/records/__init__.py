"""The values that pass between modules: Item -> DecodedImage | Failure -> ScanResult, and RunHeader.

All are frozen; none holds a file or a tensor.
"""

from __future__ import annotations

from sidscan.records.from_json import JsonObject
from sidscan.records.images import (
    PROVENANCE_STRENGTHS,
    PROVENANCE_WORDS,
    CropRef,
    CropSet,
    DecodedImage,
    Exif,
    Failure,
    ImageInfo,
    ItemReader,
    Marker,
    Provenance,
    Response,
    SignatureCheck,
    Trace,
)
from sidscan.records.inputs import EXCLUDED_PREFIX, Item, Kind, Stage, Status
from sidscan.records.results import (
    CONFLICT,
    EVIDENCE_WORDS,
    INCONCLUSIVE,
    Copies,
    CopyAnswer,
    Counts,
    Decision,
    Mark,
    ScanResult,
    Score,
    strength,
)
from sidscan.records.runs import (
    JOURNAL_FORMAT,
    CalibrationRecord,
    ModelRecord,
    RunHeader,
    RunRecord,
    SamplePlan,
    SampleRecord,
    Selection,
    SessionRecord,
    num_rows,
)

__all__ = [
    "CONFLICT",
    "EVIDENCE_WORDS",
    "EXCLUDED_PREFIX",
    "INCONCLUSIVE",
    "JOURNAL_FORMAT",
    "PROVENANCE_STRENGTHS",
    "PROVENANCE_WORDS",
    "CalibrationRecord",
    "Copies",
    "CopyAnswer",
    "Counts",
    "CropRef",
    "CropSet",
    "Decision",
    "DecodedImage",
    "Exif",
    "Failure",
    "ImageInfo",
    "Item",
    "ItemReader",
    "JsonObject",
    "Kind",
    "Mark",
    "Marker",
    "ModelRecord",
    "Provenance",
    "Response",
    "RunHeader",
    "RunRecord",
    "SamplePlan",
    "SampleRecord",
    "ScanResult",
    "Score",
    "Selection",
    "SessionRecord",
    "SignatureCheck",
    "Stage",
    "Status",
    "Trace",
    "num_rows",
    "strength",
]
