"""Screenshots, by what their tools write and by the size of known screens."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidscan.provenance import xmp
from sidscan.provenance.fields import Field, Source
from sidscan.provenance.metadata import Metadata
from sidscan.provenance.source_types import term
from sidscan.records import Exif, Trace
from sidscan.traces import TracedImage, TraceKind, trace
from sidscan.traces.screen_sizes import screens

SCREENSHOT_SOFTWARE = TraceKind(
    id="screenshot_software",
    observed="metadata say that the image is a screenshot, or name a tool that makes them",
    place=(
        "EXIF or XMP `UserComment` is exactly `Screenshot`; PNG text `Software` or XMP `CreatorTool` is "
        "exactly `gnome-screenshot`; EXIF `Software` is `Android` and a build, with a UUID as "
        "`ImageUniqueID` and no `Make`; XMP `DigitalSourceType` is `screenCapture`"
    ),
    who="iOS and macOS; GNOME; Android 11 and later; whoever follows IPTC",
    limits=(
        "Anybody can write such a field, and editors keep it when somebody changes the image. Most tools for "
        "screenshots write nothing. It says nothing about what the screen showed."
    ),
)
SCREENSHOT_SIZE = TraceKind(
    id="screenshot_size",
    observed="a PNG without a camera in its EXIF has exactly the size of a known screen",
    place="width and height of PNG files, upright or on their side",
    who="phones, tablets and laptops, for screenshots of the whole screen",
    limits=(
        "Wallpapers, mock-ups and drawings are made in such sizes, too, and images are cropped to them; "
        "several devices share most sizes. Screenshots of a window or a part have any size."
    ),
)
_ANDROID = re.compile(r"Android [\w .()/:+-]{1,100}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ANDROID_TAG = "EXIF ImageUniqueID"


@trace(SCREENSHOT_SOFTWARE)
def find_software(image: TracedImage) -> Iterator[Trace]:
    """The first field that names one."""
    for field, detail in _named(image.metadata, image.facts.exif):
        yield SCREENSHOT_SOFTWARE.found(detail, field.container, field.offset, field.value)
        return


@trace(SCREENSHOT_SIZE)
def find_size(image: TracedImage) -> Iterator[Trace]:
    """PNG files without a camera."""
    facts = image.facts
    names = screens(facts.width or 0, facts.height or 0)
    if facts.format == "PNG" and names and not (facts.exif.make or facts.exif.model):
        detail = f"{facts.width} x {facts.height} pixels, the size of {names}"
        yield SCREENSHOT_SIZE.found(detail, "PNG IHDR", 8)


def _named(metadata: Metadata, exif: Exif) -> Iterator[tuple[Field, str]]:
    """Fields that name a screenshot, and the sentence for each."""
    for comments in (metadata.get(Source.EXIF, "UserComment"), metadata.xmp(xmp.EXIF, "UserComment")):
        for field in comments:
            if field.value == "Screenshot":
                yield field, "UserComment is Screenshot, as iOS and macOS write it"
    for tools in (metadata.get(Source.TEXT, "Software"), metadata.xmp(xmp.XMP, "CreatorTool")):
        for field in tools:
            if field.value == "gnome-screenshot":
                yield field, f"{field.key} is gnome-screenshot"
    for field in metadata.get(Source.EXIF, "Software"):
        if not exif.make and _ANDROID.fullmatch(field.value) and _UUID.fullmatch(_unique_id(exif)):
            yield field, "Software is a build of Android, with a UUID, as its screenshots have"
    for field in metadata.xmp(xmp.IPTC_EXT, "DigitalSourceType"):
        if term(field.value) == "screencapture":
            yield field, "the digital source type is screenCapture"


def _unique_id(exif: Exif) -> str:
    return str((exif.tags or {}).get(_ANDROID_TAG, ""))
