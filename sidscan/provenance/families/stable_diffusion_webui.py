"""Parameters as AUTOMATIC1111's web UI writes them, and after it Forge, SD.Next and many others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from sidscan.provenance import xmp
from sidscan.provenance.families import MarkerKind, family
from sidscan.provenance.fields import Source
from sidscan.provenance.metadata import Metadata
from sidscan.records import Marker

_STEPS = re.compile(r"(?:^|\s)(Steps: \d{1,6}, [^\n]{0,4000})")
_SHAPES = (
    *(r"Sampler: [^,]", r"Seed: \d", r"CFG scale: \d", r"Size: \d+x\d"),
    *("Model hash: [0-9a-f]{6}", r"Model: [^,]"),
)
_OTHERS = re.compile(rf"(?:^|, )({'|'.join(_SHAPES)})")
_MOST_LINES = 16  # that begin alike: prompts hold any text
_APP = re.compile(r", App: ([\w.]{1,40})")

PARAMETERS = MarkerKind(
    "sd-parameters",
    "ai_generated",
    "plain",
    "AUTOMATIC1111, Forge, SD.Next, Civitai and others",
    "PNG text `parameters`, a comment, or EXIF `UserComment` or `ImageDescription` has a line "
    "`Steps: N, ` with at least two of `Sampler`, `Seed`, `CFG scale`, `Size` (as `512x512`), `Model`",
    "a harbour\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512",
    "seen",
)


@family(PARAMETERS)
def find(metadata: Metadata) -> Iterator[Marker]:
    """Texts that hold a line of parameters."""
    places = (
        metadata.get(Source.TEXT, "parameters", "comment", "Comment", "UserComment"),
        metadata.get(Source.EXIF, "UserComment", "ImageDescription"),
        metadata.xmp(xmp.EXIF, "UserComment"),
    )
    for part in places:
        for field in part:
            if line := parameters_line(field.value):
                app = _APP.search(line)
                yield PARAMETERS.found(field, app[1] if app else "")


def parameters_line(text: str) -> str:
    """The line of parameters in a text; empty if there is none."""
    lines = (line[1] for line in islice(_STEPS.finditer(text), _MOST_LINES))
    return next((line for line in lines if _count(line) >= 2), "")


def _count(line: str) -> int:
    """How many different parameters a line names, each with a value of its shape."""
    return len({each.partition(":")[0] for each in _OTHERS.findall(line)})
