"""Where in an image a localizer points, in figures: a region to look at, or none.

A map is not a verdict. It says nothing of an image without a region, and nothing of who changed what.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sidscan.records.from_json import JsonObject, known

REGION = "region to look at"
COMMON_REGION = "region, as whole photographs may have"
NO_REGION = "no region to look at"
FLAGS = {
    "smaller_than_tile": "smaller than a tile and enlarged, which nobody measured",
    "narrower_than_tile": "narrower than a tile and squashed, which nobody measured",
    "more_than_max_tiles": "long and narrow, so it took more than --max-tiles",
    "patches_of_a_detector": "patches of a detector of whole images, which nobody trained to find edits",
}
"""What a map's reader should know of how the image was read, in words."""


@dataclass(frozen=True, slots=True)
class LocalizerRecord:
    """A localizer as reports state it.

    Attributes:
        digest: first 16 hex digits of each file's sha256, joined by ``+``.
        files: sha256 of each file, hex.
        side, stride: of tiles, pixels.
        threshold: probability above which a pixel counts.
        alarm_area: share of the image above the threshold that 1 % of whole photographs exceed; None where
            nobody measured it.
        alarm_contrast: contrast that 1 % of whole photographs exceed, likewise.
    """

    name: str
    digest: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict)
    side: int = 0
    stride: int = 0
    threshold: float = 0.5
    alarm_area: float | None = None
    alarm_contrast: float | None = None

    @classmethod
    def from_dict(cls, raw: JsonObject) -> LocalizerRecord:
        """The inverse of `dataclasses.asdict`, after JSON."""
        return cls(**known(cls, raw))


@dataclass(frozen=True, slots=True)
class Localization:
    """One localizer's map of one image, in figures. Boxes are in pixels as stored: EXIF is not applied.

    Attributes:
        localizer, digest, threshold, alarm_area, alarm_contrast: as in `LocalizerRecord`.
        protocol: ``global`` (the whole image squashed into one square), ``tiles``, or ``patches`` (those of
            a detector, in the resized image that it reads).
        scale: pixels of the image, across and down, that one pixel of a tile stood for; 1 is native. None
            unless the protocol is ``tiles``.
        tiles: how many squares were read for the map.
        side, stride: of tiles, pixels; of ``patches``, pixels of the resized image; of ``global`` 0.
        width, height: of the map, those of the decoded pixels.
        area: share of the image above the threshold.
        region: left, top, right and bottom of the largest region above it; None where there is none.
        region_area: share of the image that this region has.
        maximum, p99: highest probability, and the one that 99 % of the pixels do not exceed.
        agreement: of what either protocol has above the threshold, the share that both have; None where one
            alone was run, or neither has any.
        contrast: how clearly one part of the map stands out (`sidscan.localize.contrast`), from 0; None
            of ``global``, and in records of versions that did not measure it.
        orientation: as EXIF states it; pages turn drawings by it, files are never turned.
        made_by: what computed and decoded, in words.
        flags: remarks on how the image was read, of `FLAGS`.
        message: why there is no map; the figures are empty then.
    """

    localizer: str
    digest: str = ""
    protocol: str = ""
    scale: int | None = None
    tiles: int = 0
    side: int = 0
    stride: int = 0
    width: int = 0
    height: int = 0
    threshold: float = 0.5
    alarm_area: float | None = None
    area: float | None = None
    region: tuple[int, int, int, int] | None = None
    region_area: float | None = None
    maximum: float | None = None
    p99: float | None = None
    agreement: float | None = None
    contrast: float | None = None
    alarm_contrast: float | None = None
    orientation: int | None = None
    made_by: str = ""
    flags: tuple[str, ...] = ()
    message: str = ""

    @property
    def finding(self) -> str:
        """Whether there is a region, and more of it than whole photographs have; empty without a map."""
        if self.area is None:
            return ""
        if self.region is None:
            return NO_REGION
        return REGION if self._alarms(self.area) else COMMON_REGION

    @property
    def alarm_is_known(self) -> bool:
        """Whether somebody measured what whole photographs have."""
        return self.alarm_area is not None or self.alarm_contrast is not None

    def _alarms(self, area: float) -> bool:
        """Whether the map is as few whole photographs' maps are; of unmeasured localizers, any is."""
        if self.contrast is not None and self.alarm_contrast is not None:
            return self.contrast > self.alarm_contrast
        return area > (self.alarm_area or 0.0)

    def how_in_words(self) -> str:
        """The protocol, what was read and the threshold."""
        if self.protocol == "global":
            read = "whole image in one square"
        elif self.protocol == "patches":
            read = (
                f"{self.side} px each, every {self.stride} px of the whole image as the detector resizes it"
            )
        else:
            size = "at native size" if self.scale == 1 else f"of the image at 1/{self.scale}"
            read = f"{self.tiles} {'tile' if self.tiles == 1 else 'tiles'} of {self.side} px {size}"
        return f"{self.protocol}, {read}; threshold {self.threshold:g}"

    def in_words(self) -> str:
        """The finding with its figures."""
        if self.area is None:
            return f"no map: {self.message}"
        above = f"{_percent(self.area)} above {self.threshold:g}{self._limit()}"
        if self.region is None:
            other = "" if self.agreement is None else "; the other protocol marks something"
            highest = f"highest {self.maximum:.2f}{self._remarks()}{other}"
            return f"{NO_REGION}: nothing above {self.threshold:g}; {highest}"
        left, top, right, bottom = self.region
        box = f"largest at x {left}-{right}, y {top}-{bottom}"
        both = self._remarks()
        if self.agreement is not None:
            both += f"; of what either protocol marks, both mark {_percent(self.agreement)}"
        return f"{self.finding}: {above}, {box}; highest {self.maximum:.2f}{both}"

    def _limit(self) -> str:
        """What 1 % of whole photographs exceed."""
        if self.alarm_is_known and self.protocol != "tiles":
            return " (read so, nobody measured how much of whole photographs it marks)"
        if self.contrast is not None and self.alarm_contrast is not None:
            return (
                f", contrast {self.contrast:.2f} (1 % of whole photographs have more than "
                f"{self.alarm_contrast:.2f})"
            )
        if self.alarm_area is not None:
            return f" (1 % of whole photographs have more than {_percent(self.alarm_area)})"
        return ""

    def _remarks(self) -> str:
        return "".join(f"; {FLAGS.get(flag, flag)}" for flag in self.flags)

    @classmethod
    def from_dict(cls, raw: JsonObject) -> Localization:
        """The inverse of `dataclasses.asdict`, after JSON."""
        region = raw.get("region")
        made = cls(**known(cls, raw))
        made = replace(made, flags=tuple(made.flags))
        return made if region is None else replace(made, region=tuple(region))


@dataclass(frozen=True, slots=True)
class KeptLocalization:
    """What a record keeps of an image that was localized.

    Attributes:
        drawing: the image in grey with the map over it (WebP), turned as it is shown; empty if none was made.
        image: the image alone in grey, at the same size and turned alike; empty where images are left out.
    """

    facts: Localization
    drawing: bytes = b""
    image: bytes = b""


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
