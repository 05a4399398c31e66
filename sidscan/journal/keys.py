"""What results depend on besides the bytes of an image; they are kept while it stays the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sidscan.records import Kind, ScanResult, Stage, Status

# Flags of results that another version of sidscan may do without.
_INCOMPLETE_FLAGS = {"exif_unreadable", "exif_incomplete", "position_unreadable"}
# Flags of results that a change of limits can alter.
_LIMIT_FLAGS = {"truncated", "preview", "developed", "metadata_limit", "metadata_timeout", "metadata_crashed"}


@dataclass(frozen=True, slots=True)
class Readers:
    """What reads images in this run, by format: others give other pixels of the same bytes.

    Attributes:
        version: of sidscan.
        decoders: name and version of the decoder by format; "" stands for all other formats. A format that
            can't be decoded here has the decoder "".
        revisions: number of sidscan's own reading of a format; it rises when that gives other pixels or facts
            of the same bytes. Other formats have 1.
    """

    version: str = ""
    decoders: Mapping[str, str] = field(default_factory=dict)
    revisions: Mapping[str, int] = field(default_factory=dict)

    def key_for(self, result: ScanResult) -> str:
        """What of this a result depends on: decoder, revision and, unless all of it was read, the version."""
        if result.stage is Stage.LIST:
            return ""
        # A flag stands for the format where another decoder than the format's was used.
        flags = [flag for flag in result.facts.flags if flag in self.decoders]
        name = flags[0] if flags else result.facts.format or ""
        complete = result.status is Status.SCORED and _INCOMPLETE_FLAGS.isdisjoint(result.facts.flags)
        return reader_key(
            result.decoder or "",
            self._reading(name),
            "" if complete else result.sidscan_version or "",
        )

    def _reading(self, name: str) -> str:
        """A format and its revision; empty for formats that are like most others."""
        is_special = name and (name in self.decoders or name in self.revisions)
        return f"{name} {self.revisions.get(name, 1)}" if is_special else ""

    def valid_keys(self) -> list[str]:
        """All that `key_for` gives for results of this run."""
        formats = {"", *self.decoders, *self.revisions}
        return [
            "",
            reader_key("", "", self.version),  # of what was lost before it was read
            *(
                reader_key(
                    self.decoders.get(name, self.decoders.get("", "")),
                    self._reading(name),
                    version,
                )
                for name in formats
                for version in ("", self.version)
            ),
        ]

    def change_in_words(self, key: str) -> str:
        """What read a result and what would now, e.g. ``read by Pillow 12.0.0 (now Pillow 13.0.0)``."""
        decoder, revision, version = _parts(key)
        name = revision.partition(" ")[0]
        library = decoder.partition(" ")[0]
        like = (each for each in self.decoders.values() if library and each.startswith(f"{library} "))
        now = [self.decoders.get(name) or next(like, self.decoders.get("", ""))]
        if version and version != self.version:
            now.append(f"sidscan {self.version}")
        if revision and revision != f"{name} {self.revisions.get(name, 1)}":
            now.append(f"reading {self.revisions.get(name, 1)}")
        return f"{reader_in_words(key)} (now {', '.join(now)})"


def reader_key(decoder: str, revision: str, version: str) -> str:
    """What read a result, as one text."""
    return f"{decoder}|{revision}|{version}"


def reader_has_decoder(key: str) -> bool:
    """Whether a decoder read the image, so that it may have a score."""
    return bool(_parts(key)[0])


def reader_in_words(key: str) -> str:
    """What `reader_key` made a text of, e.g. ``read by Pillow 12.0.0``."""
    decoder, revision, version = _parts(key)
    name, _, number = revision.partition(" ")
    by = ", ".join(filter(None, (decoder, version and f"sidscan {version}")))
    reading = f" (reading {number} of {name})" if revision else ""
    return f"read by {by}{reading}" if decoder else "of a format that had no decoder"


def _parts(key: str) -> tuple[str, str, str]:
    """Decoder, revision and version of a reader's key; a damaged one is all decoder."""
    decoder, revision, version = key.split("|") if key.count("|") == 2 else (key, "", "")
    return decoder, revision, version


@dataclass(frozen=True, slots=True)
class ReuseKeys:
    """What results depend on besides the image's bytes; a result holds while its keys are the same.

    Attributes:
        score: digest of what determines a score.
        limits: digest of that, and of what decides whether there is a score and what else is read.
        urls: digest of what determines a score, and of what may be fetched.
        readers: what reads the images.
        former: digests of the same by which records of format 1 know these keys -> the keys.
    """

    score: str
    limits: str
    urls: str
    readers: Readers = Readers()
    former: Mapping[str, str] = field(default_factory=dict)

    @property
    def digests(self) -> tuple[str, str, str]:
        """All that `key_for` gives."""
        return self.score, self.limits, self.urls

    def key_for(self, result: ScanResult) -> str:
        """The key that a result depends on."""
        if result.status is not Status.SCORED or not _LIMIT_FLAGS.isdisjoint(result.facts.flags):
            return self.limits
        return self.urls if result.kind is Kind.URL else self.score
