"""The options of reading an image."""
# ruff: noqa: RUF009  (`option` is dataclasses.field with metadata)

from __future__ import annotations

from dataclasses import dataclass, fields

from sidscan.config.choices import Crops
from sidscan.records.views import ImageView
from sidscan.util.option_specs import documented, option


@documented
@dataclass(frozen=True, kw_only=True)
class ReadLimits:
    """What is read of one image, and how large it may be."""

    crops: Crops = option(
        "ten",
        section="Models",
        help="Score ten crops and average their logits, or the centre alone.",
        details="The ten are the corners, the centre, and their mirror images.",
    )
    max_bytes: int = option(
        1 << 30,
        section="Limits",
        unit="bytes",
        minimum=1,
        help="Largest file or download; larger ones are not read (too_large).",
    )
    max_pixels: int = option(
        178_956_970,  # Pillow's own limit: twice the size that it warns of
        section="Limits",
        minimum=1,
        help="Most pixels of an image; larger ones are not decoded (too_many_pixels).",
    )
    max_side: int = option(
        65_535,  # of JPEG
        section="Limits",
        minimum=1,
        help="Longest side of an image, in pixels; longer ones are not decoded (too_long).",
    )
    max_ratio: int = option(
        1_000,
        section="Limits",
        minimum=1,
        help="Largest ratio of an image's longer side to its shorter side; narrower images are not decoded "
        "(too_narrow).",
    )
    max_metadata: int = option(
        16 << 20,
        section="Limits",
        unit="bytes",
        minimum=1,
        help="Most bytes of EXIF, XMP, colour profiles and text; an image with more is scored, but its EXIF "
        "is not read (metadata_limit).",
    )
    max_metadata_reads: int = option(
        1_000_000,  # cameras' maker notes take up to some 100,000; about a second
        section="Limits",
        minimum=1,
        help="Steps allowed for reading EXIF; after them the image is scored without EXIF (metadata_limit).",
        details="Directories that name each other can make a few kilobytes take hours.",
    )
    allow_truncated: bool = option(
        False,
        section="Limits",
        help="Score the readable part of truncated or damaged images, and flag them; without this they fail.",
        details="It needs isolation: Pillow has this setting only for a whole process.",
    )
    develop_raw: bool = option(
        False,
        section="Limits",
        help="Develop camera raw files with LibRaw, and flag them (developed). Without this, the largest "
        "preview in such a file is scored (preview), and its evidence is inconclusive.",
        details="It needs one package more: pip install rawpy.",
    )

    thumbnails: bool = option(
        False, help="Make a small image of each image for HTML reports.", details="It changes no score."
    )
    find_copies: bool = option(
        False,
        section="Output",
        help="Find images that show the same: saved again, resized, mirrored or rotated. HTML reports with "
        "thumbnails do so anyway. It slows the scan of large JPEG files.",
        details="It changes no score.",
    )
    trust: str | None = option(
        None,
        section="Advanced",
        metavar="FOLDER",
        help="Folder of trust lists (.pem) for signatures of C2PA manifests, instead of the bundled ones. It "
        "needs c2pa-python.",
        details="Results that an earlier scan made keep what was checked then.",
    )
    pixels: bool = option(False, help="Give all pixels of each image, besides its crops.")
    views: tuple[ImageView, ...] = option(
        (), help="Pictures of the whole image to give, for models that read no crops."
    )

    def read_limits(self) -> dict[str, object]:
        """The options that decide what is read and whether it is scored, as JSON can hold them."""
        others = ("thumbnails", "find_copies", "pixels", "views", "trust")
        names = (each.name for each in fields(ReadLimits) if each.name not in others)
        return {name: getattr(self, name) for name in names}
