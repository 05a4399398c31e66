"""What is known of an image apart from its score, and the pixels that a model sees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from sidscan.records.from_json import JsonObject, known, members
from sidscan.records.inputs import Item, Stage, Status

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sidscan.records.views import ImageView


@dataclass(frozen=True, slots=True)
class Exif:
    """The EXIF data of an image. ``tags`` holds all of it, the other fields are columns of a report.

    Attributes:
        original_date: as the file states it.
        original_date_iso: the same as ISO 8601, with an offset from UTC where EXIF states one; None unless it
            is a date.
        gps_date_iso: when the position was measured, ISO 8601, UTC.
        unread_tags: number of tags that are left out because their values can't be read.
    """

    make: str | None = None
    model: str | None = None
    lens: str | None = None
    original_date: str | None = None
    software: str | None = None
    latitude: float | None = None  # degrees, north positive
    longitude: float | None = None  # degrees, east positive
    orientation: int | None = None  # 1..8, EXIF 2.3 tag 0x0112
    tags: JsonObject = field(default_factory=dict)
    unread_tags: int = 0
    original_date_iso: str | None = None
    gps_date_iso: str | None = None


PROVENANCE_WORDS = (
    *("ai_generated", "ai_edited", "ai_hint", "held_elsewhere", "unreadable", "no_ai_claim"),
    *("format_not_read", "none"),
)
"""What a file says of its own origin, in one word; of several markers, the first of these counts."""

PROVENANCE_STRENGTHS = ("signed_trusted", "signed_untrusted", "signed_broken", "not_checked", "plain", "weak")
"""How well a marker is backed, the strongest first; ``not_checked`` is a signature that nobody verified."""


@dataclass(frozen=True, slots=True)
class Marker:
    """A statement about a file's origin, found in its metadata. All text is as stated: anybody can write it.

    Attributes:
        id: which one it is; docs/reference/provenance.md has a table.
        verdict: one of `PROVENANCE_WORDS`: what it says.
        strength: one of `PROVENANCE_STRENGTHS`; empty for a marker that claims nothing.
        container: where it stands, e.g. ``PNG tEXt``.
        key, value: field and content; long ones are cut.
        offset: of the block that holds it, from the start of the file, bytes.
        says: software or organisation that is named as the maker; empty if none is.
        signer: organisation and name in the certificate of a C2PA claim.
    """

    id: str
    verdict: str
    strength: str
    container: str
    key: str
    value: str
    offset: int
    says: str = ""
    signer: str = ""


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """What is right about the C2PA manifests of a file (`provenance.signatures`); None where nothing says.

    Attributes:
        state: the verifier's own word: ``Trusted``, ``Valid`` or ``Invalid``, which is not "tampered".
        bytes_unchanged: whether the file's bytes are those that were signed.
        signature_good: whether the signatures fit the claims.
        signer_listed: whether the signer's certificate leads to a list, at the time of signing.
        signed_at: time of the active signature by its time stamp, ISO 8601.
        codes: what failed, in the words of C2PA.
        error: why nothing was verified; empty if it was.
    """

    state: str = ""
    bytes_unchanged: bool | None = None
    signature_good: bool | None = None
    signer_listed: bool | None = None
    signed_at: str | None = None
    codes: tuple[str, ...] = ()
    error: str = ""

    @property
    def strength(self) -> str:
        """One of `PROVENANCE_STRENGTHS`."""
        if self.bytes_unchanged is False or self.signature_good is False:
            return "signed_broken"
        if self.error or self.signature_good is None:
            return "not_checked"
        listed = self.signer_listed and self.bytes_unchanged
        return "signed_trusted" if listed else "signed_untrusted"

    @property
    def is_unharmed(self) -> bool:
        """Whether nothing that failed says that somebody changed the file, or the claim."""
        changed = self.bytes_unchanged is False or self.signature_good is False
        return not changed and not any("mismatch" in code for code in self.codes)

    @classmethod
    def from_dict(cls, raw: JsonObject) -> SignatureCheck:
        """The inverse of `dataclasses.asdict`, after JSON."""
        return cls(**{**known(cls, raw), "codes": tuple(raw.get("codes", ()))})


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a file says of its own origin.

    Attributes:
        verdict: one of `PROVENANCE_WORDS`.
        strength: one of `PROVENANCE_STRENGTHS`, of the best backed marker for the verdict; None without one.
        checked: what verified signatures; empty if nothing did.
        markers: all that were found.
        byline, credit, source, caption, copyright: of IPTC, from XMP or else IIM; None if not stated.
        signature: of its C2PA manifests; None without a verifier, and where there is no manifest.
    """

    verdict: str = "none"
    strength: str | None = None
    checked: str = ""
    markers: tuple[Marker, ...] = ()
    byline: str | None = None
    credit: str | None = None
    source: str | None = None
    caption: str | None = None
    copyright: str | None = None
    signature: SignatureCheck | None = None

    @property
    def decisive(self) -> tuple[Marker, ...]:
        """The markers that the verdict rests on."""
        return tuple(marker for marker in self.markers if marker.verdict == self.verdict)

    @property
    def by(self) -> tuple[str, ...]:
        """Ids of all markers, those that the verdict rests on first."""
        return tuple(dict.fromkeys(marker.id for marker in (*self.decisive, *self.markers)))

    @property
    def by_decisive(self) -> tuple[str, ...]:
        """Ids of the markers that the verdict rests on."""
        return tuple(dict.fromkeys(marker.id for marker in self.decisive))

    @property
    def has_unchecked_signature(self) -> bool:
        """Whether a signed manifest was read, and nothing here verifies signatures."""
        return not self.checked and any(marker.strength == "not_checked" for marker in self.markers)

    @property
    def says(self) -> tuple[str, ...]:
        """Who is named by the markers that the verdict rests on: the maker, or what wrote the manifest."""
        return tuple(dict.fromkeys(marker.says for marker in self.decisive if marker.says))

    @classmethod
    def from_dict(cls, raw: JsonObject) -> Provenance:
        """The inverse of `dataclasses.asdict`, after JSON; one object for all that state nothing."""
        if raw == _NOTHING_STATED:
            return _NO_PROVENANCE
        markers = tuple(Marker(**known(Marker, marker)) for marker in raw.get("markers", ()))
        values: dict[str, Any] = {"markers": markers}
        if signature := raw.get("signature"):
            values["signature"] = SignatureCheck.from_dict(signature)
        return cls(**{**known(cls, raw), **values})


_NO_PROVENANCE = Provenance()
_NOTHING_STATED = {**members(_NO_PROVENANCE), "markers": []}  # as JSON


@dataclass(frozen=True, slots=True)
class Trace:
    """Something that was observed about how a file was saved or handled. It never says that AI was used.

    Attributes:
        id: which one it is; docs/reference/traces.md has a table.
        detail: a short plain sentence with the numbers observed; nothing that stands in the file or its name.
        container: where it stands, e.g. ``behind JPEG EOI``; empty where it is in no one place.
        offset: bytes from the start of the file.
        value: what stands there, as stated; empty where there are only numbers.
    """

    id: str
    detail: str
    container: str = ""
    offset: int = 0
    value: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """How a server answered a URL; most of it may be missing if the fetch failed.

    Attributes:
        final_url: the last URL requested.
        redirects: the URLs that led to ``final_url``, in order.
        http_status: status code of the last answer, RFC 9110.
        address: IP address that the last request connected to; the proxy's if there was one.
        fetched_at: time of the last request, ISO 8601, UTC.
        headers: the response headers listed in fetch.client.RECORDED_HEADERS, names in lower case.
        saved_as: file of ``--save-dir`` that holds the bytes.
    """

    final_url: str
    redirects: tuple[str, ...] = ()
    http_status: int | None = None
    address: str | None = None
    fetched_at: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    saved_as: str | None = None


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What is known of an image apart from its score; some may be missing if reading failed.

    Attributes:
        sha256: of the original bytes, hex.
        flags: remarks on how the pixels were read, e.g. ``padded`` (images.decode lists them).
        response: how the server answered a URL; None for files.
        width, height: of the photograph, also where only a preview of it was read; None if not known.
        jpeg_quality: quality, 1 to 100, of the quantisation tables of a JPEG file (`images.jpeg_quality`).
        modified_at: when a file was last modified, ISO 8601, UTC; None for URLs, whose server may say it
            (``response``).
        preview_width, preview_height: of what was scored instead of the photograph (flag ``preview``).
        lossless: whether the file keeps every pixel value as it was saved; None where that is not known
            (`images.lossless`).
        provenance: what the file says of its own origin; None where nobody looked.
        perceptual_hash: of what the image shows (`images.perceptual_hash`), 64 hex digits; empty where it has
            too little detail, None where no hash was made.
        traces: of how the file was saved and handled; None where nobody looked.
    """

    bytes: int | None = None
    sha256: str | None = None
    format: str | None = None
    width: int | None = None  # pixels, as stored: EXIF orientation is not applied
    height: int | None = None  # pixels
    flags: tuple[str, ...] = ()
    exif: Exif = Exif()
    response: Response | None = None
    jpeg_quality: int | None = None
    modified_at: str | None = None
    preview_width: int | None = None
    preview_height: int | None = None
    lossless: bool | None = None
    perceptual_hash: str | None = None
    provenance: Provenance | None = None
    traces: tuple[Trace, ...] | None = None

    @property
    def scored_size(self) -> tuple[int | None, int | None]:
        """Width and height of the pixels that were decoded."""
        return self.preview_width or self.width, self.preview_height or self.height

    @property
    def trace_ids(self) -> str | None:
        """Ids of the traces, separated by spaces; ``none`` without any, None where nobody looked."""
        if self.traces is None:
            return None
        return " ".join(dict.fromkeys(trace.id for trace in self.traces)) or "none"

    @classmethod
    def from_dict(cls, raw: JsonObject) -> ImageInfo:
        """The inverse of `dataclasses.asdict`, after JSON."""
        exif = Exif(**known(Exif, raw["exif"]))
        values = {**known(cls, raw), "flags": tuple(raw["flags"]), "exif": exif}
        if provenance := raw.get("provenance"):
            values["provenance"] = Provenance.from_dict(provenance)
        if (traces := raw.get("traces")) is not None:
            values["traces"] = tuple(Trace(**known(Trace, trace)) for trace in traces)
        if response := raw.get("response"):
            redirects = tuple(response["redirects"])
            values["response"] = Response(**{**known(Response, response), "redirects": redirects})
        return cls(**values)


CropRef = tuple[int, bool]
"""The index of a crop, and whether the model sees its mirror image (left for right) instead."""


@dataclass(frozen=True, slots=True)
class CropSet:
    """The crops of an image that a model sees. Mirror images are named, not stored: devices make their own.

    Attributes:
        crops: (k, 224, 224, 3) uint8 RGB, all different, none the mirror image of another.
        order: the crop of each view (ten views, or one); views of the same pixels have the same `CropRef`.
    """

    crops: NDArray[np.uint8]
    order: tuple[CropRef, ...]

    @classmethod
    def plain(cls, crops: NDArray[np.uint8]) -> CropSet:
        """Every crop of (k, 224, 224, 3) once, not mirrored."""
        return cls(crops, tuple((index, False) for index in range(len(crops))))

    def pixels(self) -> NDArray[np.uint8]:
        """All views (views, 224, 224, 3) in order; mirrored where ``order`` says so."""
        pixels: NDArray[np.uint8] = self.crops[[index for index, _ in self.order]]
        mirrored = [mirrored for _, mirrored in self.order]
        pixels[mirrored] = pixels[mirrored][:, :, ::-1]
        return pixels


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """An image, read and ready to be scored.

    Attributes:
        views: pictures of the whole image (rows, columns, 3), RGB, for detectors that read no crops.
    """

    item: Item
    facts: ImageInfo
    crop_set: CropSet
    thumbnail: bytes = b""  # WebP (images.thumbnails); empty unless asked for
    pixels: NDArray[np.uint8] | None = None  # (height, width, 3) RGB, all of them; None unless asked for
    second_image: bytes = b""  # WebP of a preview that shows another image; goes with the thumbnail
    views: Mapping[ImageView, NDArray[np.uint8]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that could not be read, or was skipped. It is a value, so that no input is ever lost."""

    item: Item
    stage: Stage
    error: str  # class name
    message: str
    facts: ImageInfo = ImageInfo()
    status: Status = Status.FAILED


class ItemReader(Protocol):
    """What reads items; called from any number of threads."""

    def __call__(self, item: Item) -> DecodedImage | Failure:
        """The image, or why there is none."""

    def announced(self, each: Iterable[Item]) -> Iterator[Item]:
        """The same items, which will be asked for in about this order."""
