"""The page of a TIFF file that is scored, arranged so that Pillow gives its samples as they are stored.

Pillow reads the first page, turns it as its orientation says, and takes some layouts for others. This module
reads the directories and changes copies of them: which page comes first, that nothing is to be turned, that
one plane is an image of its own. Samples are never changed. Sources: TIFF 6.0, and BigTIFF as libtiff
describes it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from sidscan.containers.tiff_file import SHORT, Directory, Entry, TiffFile

_SUBFILE, _OLD_SUBFILE, _BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION = 254, 255, 258, 259, 262, 274
_SAMPLES, _PLANAR, _COLOURS, _SUB_DIRECTORIES, _EXTRA, _FORMAT = 277, 284, 320, 330, 338, 339
_SUBSAMPLING, _BLACK_AND_WHITE = 530, 532
_SEGMENTS = (273, 279, 324, 325)  # offsets and sizes of strips and tiles
# Tags that say where samples are and what they mean; the others are metadata.
_PIXEL_TAGS = {
    *range(254, 260),
    *range(262, 267),
    *range(273, 280),
    284,
    *range(290, 294),
    301,
    *range(317, 326),
}
_PIXEL_TAGS |= {*range(332, 342), 347, *range(512, 522), *range(529, 533)}
_REDUCED_OR_MASK, _OLD_REDUCED, _NATIVE_GREY = 0b101, 2, 1
_WHITE_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 2, 3, 5, 6, 8
_UNCOMPRESSED = 1
_READABLE_PHOTOMETRICS = (0, 1, 2, 3, 5, 6, 8)  # by Pillow; data of camera sensors are none of them
_COLOUR_PLANES = {_WHITE_IS_ZERO: 1, _NATIVE_GREY: 1, _RGB: 3, _CMYK: 4, _LAB: 3}
_RAW_MODES = {_WHITE_IS_ZERO: "L", _NATIVE_GREY: "L", _RGB: "RGB", _CMYK: "CMYK", _LAB: "LAB"}
_SIGNED, _FLOAT = 2, 3
_ASSOCIATED_ALPHA, _ALPHA = 1, 2
_MAX_PAGES = 1000  # looked at in search of one of full size
_NATIVE_RAW_MODES = {"F;32BF": "F;32NF", "I;32BS": "I;32NS", "I;16BS": "I;16NS"}


@dataclass(frozen=True)
class ScoredPage:
    """The page that is scored.

    Attributes:
        data: a file of which Pillow reads this page first, as stored.
        flags: remarks on the choice of the page and its samples.
        problem: why its samples can't be read rightly; empty if they can.
        layout: how they are stored, in words; empty if the directory can't be read.
        raw_mode: Pillow's name of how `planes` make an image.
        planes: files that hold one plane each; empty where Pillow reads all planes from `data`.
    """

    data: bytes
    flags: tuple[str, ...] = ()
    problem: str = ""
    layout: str = ""
    raw_mode: str = ""
    planes: tuple[Plane, ...] = ()


class Plane:
    """A file whose only image is one plane of a page."""

    def __init__(self, file: TiffFile, entries: Mapping[int, Entry], directory: Directory) -> None:
        self._write = partial(file.with_directory, directory, entries)

    def data(self) -> bytes:
        """The file, made anew on each call."""
        return self._write()


def choose_page(data: bytes) -> ScoredPage:
    """The first page of full size, or the first page where there is none.

    A file that can't be followed is given back unchanged; Pillow then says what is wrong with it.
    """
    try:
        file = TiffFile(data)
        first = file.directory(file.first)
        directory = _full_size(file, first)
        flags: tuple[str, ...] = ("reduced_page",) if _is_reduced(file, directory) else ()
        if directory is not first:
            flags += ("first_frame",)
        return _arrange(file, directory, directory is first, flags)
    except (struct.error, ValueError, IndexError):
        return ScoredPage(data)


def first_page_only(data: bytes) -> tuple[bytes, bool, bool]:
    """The file with the fields of `choose_page` that samples need, and whether it has other fields and pages.

    Raises:
        ValueError, struct.error: the directory can't be read.
    """
    file = TiffFile(data)
    first = file.directory(file.first)
    directory = _full_size(file, first)
    kept = {tag: entry for tag, entry in directory.entries.items() if tag in _PIXEL_TAGS}
    has_pages = directory is not first or directory.next_offset != 0
    changed = file.with_directory(directory, kept, next_offset=0)
    return changed, len(kept) < len(directory.entries), has_pages


def use_native_order(image: Image.Image) -> None:
    """Have Pillow take samples that libtiff unpacked for what they are: in this machine's byte order."""
    if not isinstance(image, TiffImageFile) or len(image.tile) != 1:
        return
    tile = image.tile[0]
    if tile.codec_name == "libtiff" and isinstance(tile.args, tuple) and tile.args[0] in _NATIVE_RAW_MODES:
        image.tile = [tile._replace(args=(_NATIVE_RAW_MODES[tile.args[0]], *tile.args[1:]))]


def join_planes(raw_mode: str, planes: Sequence[Image.Image]) -> Image.Image:
    """One image of planes of 8 bits, by Pillow's own reader of samples that are not apart."""
    if len(planes) == 1:
        return planes[0]
    samples = np.stack([np.asarray(plane) for plane in planes], axis=-1)
    mode = "RGBA" if raw_mode == "RGBa" else raw_mode
    joined = Image.frombytes(mode, planes[0].size, samples.tobytes(), "raw", raw_mode)
    joined.info = planes[0].info
    return joined


def _is_reduced(file: TiffFile, directory: Directory) -> bool:
    """Whether a page says that it is a smaller copy of another one, or a mask of its transparency."""
    if _SUBFILE in directory.entries:
        return bool(file.value(directory, _SUBFILE, 0) & _REDUCED_OR_MASK)
    return file.value(directory, _OLD_SUBFILE, 0) == _OLD_REDUCED


def _full_size(file: TiffFile, first: Directory) -> Directory:
    """The first page that is neither reduced nor a mask and that Pillow may read; else the first page."""
    if not _is_reduced(file, first):
        return first
    for directory in _other_pages(file, first):
        photometric = file.value(directory, _PHOTOMETRIC, 0)
        if not _is_reduced(file, directory) and photometric in _READABLE_PHOTOMETRICS:
            return directory
    return first


def _other_pages(file: TiffFile, first: Directory) -> Iterator[Directory]:
    """The pages behind the first one, then those within it, as far as they can be read."""
    seen, pending = {first.offset}, [first.next_offset, *file.values(first, _SUB_DIRECTORIES)]
    while pending and len(seen) < _MAX_PAGES:
        offset = pending.pop(0)
        if not offset or offset in seen:
            continue
        seen.add(offset)
        try:
            directory = file.directory(offset)
        except struct.error:
            continue
        pending.insert(0, directory.next_offset)
        if directory.entries:
            yield directory


def _arrange(file: TiffFile, directory: Directory, is_first: bool, flags: tuple[str, ...]) -> ScoredPage:
    """The page, with changes to its directory where Pillow would not read it as stored."""
    photometric = file.value(directory, _PHOTOMETRIC, 0)
    bits, samples = file.values(directory, _BITS, (1,)), file.value(directory, _SAMPLES, 1)
    formats = file.values(directory, _FORMAT, (1,))
    is_planar = file.value(directory, _PLANAR, 1) == 2
    problem = _problem(photometric, bits, formats, is_planar and samples > 1)
    if problem or (problem := _ycbcr_problem(file, directory, photometric)):
        return ScoredPage(file.data, flags, problem)
    layout = f"{samples} samples of {max(bits)} bits, photometric interpretation {photometric}"
    entries = dict(directory.entries)
    if is_planar and samples == 1:
        del entries[_PLANAR]  # one plane is the same in both layouts, but Pillow unpacks it wrongly
    if file.value(directory, _ORIENTATION, 1) != 1:
        del entries[_ORIENTATION]  # Pillow would turn the image
    if is_planar and samples > 1 and _needs_planes(photometric, bits, samples):
        raw_mode, planes, more = _split(file, directory, entries, photometric, samples)
        return ScoredPage(file.data, flags + more, layout=layout, raw_mode=raw_mode, planes=planes)
    changed = not is_first or len(entries) < len(directory.entries)
    data = file.with_directory(directory, entries) if changed else file.data
    if photometric == _PALETTE:
        data = _with_wide_colours(file, directory, data)
    return ScoredPage(data, flags, layout=layout)


def _problem(photometric: int, bits: tuple[int, ...], formats: tuple[int, ...], is_planar: bool) -> str:
    """Why Pillow would give other values than the samples have; empty if it would not."""
    if _SIGNED in formats and min(bits) <= 8:
        return "signed samples of 8 bits can't be read; convert the image to unsigned samples"
    if _FLOAT in formats and photometric == _WHITE_IS_ZERO:
        return "floating-point samples whose white is zero can't be read; convert the image to 8 or 16 bits"
    if is_planar and photometric not in _COLOUR_PLANES and max(bits) <= 16:
        return "colour planes of this kind (YCbCr or a palette) can't be read; convert the image to RGB"
    return ""


def _ycbcr_problem(file: TiffFile, directory: Directory, photometric: int) -> str:
    """The same for uncompressed YCbCr, of which Pillow expects one layout (TIFF 6.0, section 21)."""
    if photometric != _YCBCR or file.value(directory, _COMPRESSION, _UNCOMPRESSED) != _UNCOMPRESSED:
        return ""
    if file.values(directory, _SUBSAMPLING, (2, 2)) == (1, 1) and _BLACK_AND_WHITE not in directory.entries:
        return ""
    return "uncompressed YCbCr is read only without subsampling and in full range; convert the image to RGB"


def _needs_planes(photometric: int, bits: tuple[int, ...], samples: int) -> bool:
    """Whether Pillow reads separate planes wrongly or not at all, and each of them alone rightly."""
    plain = set(bits) == {8} and photometric != _LAB and samples == _COLOUR_PLANES[photometric]
    return set(bits) in ({8}, {16}) and not plain and samples >= _COLOUR_PLANES[photometric]


def _split(
    file: TiffFile,
    directory: Directory,
    entries: Mapping[int, Entry],
    photometric: int,
    samples: int,
) -> tuple[str, tuple[Plane, ...], tuple[str, ...]]:
    """The raw mode of the image, a file for each plane, and flags.

    Alpha is a plane only where colours are multiplied by it.
    """
    colours = _COLOUR_PLANES[photometric]
    extra = file.values(directory, _EXTRA, (_ALPHA,) * (samples - colours))
    multiplied = photometric == _RGB and extra[:1] == (_ASSOCIATED_ALPHA,)
    has_alpha = not multiplied and bool({_ALPHA, _ASSOCIATED_ALPHA} & set(extra))
    raw_mode = "RGBa" if multiplied else _RAW_MODES[photometric]
    kept = {tag: entry for tag, entry in entries.items() if tag not in (_PLANAR, _EXTRA, _FORMAT, _BITS)}
    kept |= {
        _BITS: file.number(_BITS, file.value(directory, _BITS, 8)),
        _SAMPLES: file.number(_SAMPLES, 1),
        _PHOTOMETRIC: file.number(_PHOTOMETRIC, photometric if colours == 1 else _NATIVE_GREY),
    }
    planes = []
    for index in range(colours + multiplied):
        parts = {tag: file.part(kept[tag], index, samples) for tag in _SEGMENTS if tag in kept}
        planes.append(Plane(file, kept | parts, directory))
    return raw_mode, tuple(planes), ("alpha_dropped",) if has_alpha else ()


def _with_wide_colours(file: TiffFile, directory: Directory, data: bytes) -> bytes:
    """The file with a palette of 16 bits; some writers state one of 8 bits, which libtiff recognises, too."""
    entry = directory.entries.get(_COLOURS)
    colours = file.values(directory, _COLOURS)
    if entry is None or entry.type != SHORT or not colours or max(colours) > 255 or len(colours) < 3:
        return data
    changed = bytearray(data)
    wide = (257 * colour for colour in colours)
    struct.pack_into(f"{file.order}{len(colours)}H", changed, file.offset_of(entry), *wide)
    return bytes(changed)
