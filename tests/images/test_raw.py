"""Camera raw files: what is scored of them says so. Ordinary TIFF files with small copies stay themselves."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import sample_raws
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sample_images import encoded, exif_block, photo
from sample_raws import (
    CFA,
    LINEAR_RAW,
    PREVIEW,
    RGB,
    SIZE,
    Tags,
    TiffFile,
    image_tags,
    preview,
    raw_tiff,
    samples,
)

from sidscan.config import ReadLimits
from sidscan.containers.isobmff import C2PA_UUID
from sidscan.images import raw
from sidscan.images.decode import SourceImage, decode
from sidscan.images.errors import FormatNotRead
from sidscan.images.exif import read_exif
from sidscan.images.items import decode_item, info_from_bytes
from sidscan.images.limits import TooManyPixels
from sidscan.models.abstention import EVERY_IMAGE
from sidscan.records import DecodedImage, Failure, Item

JPEG = preview()
OTHERS = [maker(JPEG) for maker in (sample_raws.cr2, sample_raws.cr3, sample_raws.raf, sample_raws.rw2)]
SMALL = (80, 60)
DNG = {50706: 0x00000701}


def pixels(source: SourceImage) -> np.ndarray:
    return source.window(0, 0, 224)[: source.height, : source.width]


def pillow_pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[:224, :224]


@pytest.mark.parametrize(
    ("data", "image_format"),
    [
        pytest.param(raw_tiff("NIKON CORPORATION", jpeg=JPEG), "NEF", id="NEF"),
        pytest.param(raw_tiff("SONY", jpeg=JPEG, t259=32767), "ARW", id="ARW"),
        pytest.param(raw_tiff("PENTAX", order=">", jpeg=JPEG, t259=65535), "PEF", id="PEF, big-endian"),
        pytest.param(raw_tiff("SAMSUNG", jpeg=JPEG), "SRW", id="SRW"),
        pytest.param(
            raw_tiff("NIKON", jpeg=JPEG, photometric=1, t259=34713), "NEF", id="known by compression"
        ),
        pytest.param(raw_tiff("ACME", jpeg=JPEG), "RAW", id="a camera that nobody knows"),
        pytest.param(raw_tiff("ACME", jpeg=JPEG, first=DNG), "DNG", id="DNG"),
        pytest.param(raw_tiff("A", jpeg=JPEG, first=DNG, photometric=LINEAR_RAW), "DNG", id="demosaiced DNG"),
        pytest.param(sample_raws.cr2(JPEG), "CR2", id="CR2"),
        pytest.param(sample_raws.cr3(JPEG), "CR3", id="CR3"),
        pytest.param(sample_raws.raf(JPEG), "RAF", id="RAF"),
        pytest.param(sample_raws.rw2(JPEG), "RW2", id="RW2"),
        pytest.param(sample_raws.orf(JPEG), "ORF", id="ORF"),
        pytest.param(sample_raws.x3f(JPEG), "X3F", id="X3F"),
        pytest.param(sample_raws.mrw(JPEG), "MRW", id="MRW"),
    ],
)
def test_the_largest_preview_is_read_and_says_so(data: bytes, image_format: str) -> None:
    source = decode(data)
    assert (source.format, source.original_size) == (image_format, SIZE)
    assert (source.width, source.height) == PREVIEW
    assert source.flags == ("preview",)
    assert np.array_equal(pixels(source), pillow_pixels(JPEG))


@pytest.mark.parametrize("data", [raw_tiff("NIKON"), raw_tiff("NIKON", jpeg=preview((40, 30)))])
def test_the_first_directory_is_the_preview_where_no_jpeg_is_larger(data: bytes) -> None:
    source = decode(data)
    assert (source.format, source.width, source.height, source.flags) == ("NEF", *SMALL, ("preview",))
    assert np.array_equal(pixels(source), np.asarray(photo(*SMALL)))


_LARGER = preview((480, 360), seed=1)
_C2PA_BOX = sample_raws.box(b"uuid", C2PA_UUID, bytes(4), b"manifest\x00", bytes(8), _LARGER)


@pytest.mark.parametrize(
    "data",
    [
        *(
            pytest.param(raw_tiff(jpeg=JPEG, first={**DNG, tag: b"jumb" + _LARGER}), id=f"tag {tag}")
            for tag in (52545, 700, 33723, 34377)
        ),
        pytest.param(sample_raws.cr3(JPEG) + _C2PA_BOX, id="CR3"),
    ],
)
def test_thumbnails_within_metadata_are_no_preview(data: bytes) -> None:
    found = raw.inspect(data)
    assert found is not None
    assert found.preview == JPEG


def test_a_thumbnail_within_metadata_stands_for_no_missing_preview() -> None:
    found = raw.inspect(raw_tiff(first={**DNG, 52545: _LARGER}))
    assert found is not None
    assert found.preview == b""


def test_maker_notes_may_hold_the_preview() -> None:
    file = TiffFile()
    notes = file.directory({37500: b"ACME\x00" + JPEG})
    blob = samples()
    tags = image_tags(SIZE, CFA, file.add(blob), len(blob), t34665=notes)
    found = raw.inspect(file.finish(file.directory({**tags, 271: "ACME"})))
    assert found is not None
    assert found.preview == JPEG


def test_samples_stored_as_jpeg_are_no_preview() -> None:
    file, tile = TiffFile(), preview((600, 400), seed=1)  # lossy DNG: tiles of linear samples
    raw_page = image_tags((600, 400), LINEAR_RAW, file.add(tile), len(tile), t259=34892)
    children = (file.directory(raw_page), file.directory({254: 1, 513: file.add(JPEG), 514: len(JPEG)}))
    first: Tags = {254: 1, 256: 80, 257: 60, 330: children, 50706: 0x00000401}
    source = decode(file.finish(file.directory(first)))
    assert (source.width, source.height, source.original_size) == (*PREVIEW, (600, 400))


@pytest.mark.parametrize(
    ("data", "image_format", "noun"),
    [
        pytest.param(sample_raws.cr3(b""), "CR3", "a Canon CR3 raw file", id="CR3"),
        pytest.param(sample_raws.raf(b""), "RAF", "a Fujifilm RAF raw file", id="RAF"),
        pytest.param(b"FOVb" + samples(), "X3F", "a Sigma X3F raw file", id="X3F"),
        pytest.param(b"\x00MRM" + samples(), "MRW", "a Minolta MRW raw file", id="MRW"),
        pytest.param(b"II\x1a\x00\x00\x00HEAPCCDR" + samples(), "CRW", "a Canon CRW raw file", id="CRW"),
    ],
)
def test_without_a_preview_the_row_fails_and_says_what_to_do(
    data: bytes, image_format: str, noun: str
) -> None:
    (result,) = decode_item(Item("a.raw"), data, info_from_bytes(data), ReadLimits())
    assert isinstance(result, Failure)
    assert (result.error, result.facts.format) == ("FormatNotRead", image_format)
    assert result.message == (
        f"{noun} without a preview that can be read; develop it with --develop-raw, "
        "or export it as JPEG or TIFF"
    )


def test_a_dng_whose_only_image_is_raw_is_not_read_as_grey() -> None:
    file, blob = TiffFile(), samples(80 * 60)
    page = image_tags(SMALL, 1, file.add(blob), len(blob), t50706=0x00000401, t33422=1)
    with pytest.raises(FormatNotRead, match="a DNG raw file without a preview"):
        decode(file.finish(file.directory(page)))


def ordinary_tiff(next_page: bool = False) -> bytes:
    """A photograph in the first directory, and a small copy in a SubIFD, as scanners and editors write it."""
    file, full, small = TiffFile(), photo(300, 240).tobytes(), photo(*SMALL).tobytes()
    thumbnail = file.directory(image_tags(SMALL, RGB, file.add(small), len(small), t254=1))
    first = image_tags((300, 240), RGB, file.add(full), len(full))
    if next_page:
        return file.finish(file.directory(first, next_offset=thumbnail))
    return file.finish(file.directory(first | {330: thumbnail}))


@pytest.mark.parametrize("name", ["a.tif", "a.nef", "a.jpg", ""])
@pytest.mark.parametrize("next_page", [False, True])
def test_a_tiff_with_a_small_copy_is_scored_as_itself(name: str, next_page: bool) -> None:
    source = decode(ordinary_tiff(next_page), name=name)
    assert (source.format, source.width, source.height, source.original_size) == ("TIFF", 300, 240, None)
    assert set(source.flags) <= {"first_frame"}
    assert np.array_equal(pixels(source), np.asarray(photo(300, 240))[:224, :224])


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_name_of_a_raw_file_changes_nothing_of_another_image(image_format: str) -> None:
    data = encoded(photo(300, 240), image_format)
    assert np.array_equal(pixels(decode(data, name="a.cr2")), pixels(decode(data, name="a.jpg")))
    assert decode(data, name="a.cr2").flags == ()


def test_a_raw_name_tells_where_the_directories_do_not() -> None:
    file, small = TiffFile(), photo(*SMALL).tobytes()
    first = image_tags(SMALL, RGB, file.add(small), len(small))
    file.add(samples(100_000))  # at a place that only the maker knows
    data = file.finish(file.directory({**first, 271: "EASTMAN KODAK COMPANY"}))
    assert decode(data, name="a.tif").flags == ()
    source = decode(data, name="A.KDC")
    assert (source.format, source.flags, source.original_size) == ("DCR", ("preview",), SMALL)


def _read(data: bytes) -> DecodedImage:
    *_, result = decode_item(Item("a.nef"), data, info_from_bytes(data), ReadLimits())
    assert isinstance(result, DecodedImage)
    return result


def test_the_row_has_both_sizes_and_its_evidence_is_inconclusive() -> None:
    result = _read(raw_tiff("NIKON", jpeg=JPEG))
    facts = result.facts
    assert (facts.width, facts.height) == SIZE
    assert (facts.preview_width, facts.preview_height) == PREVIEW == facts.scored_size
    logits = np.zeros(10)
    assert EVERY_IMAGE.reasons(facts, result.crop_set.crops, logits) == ("preview",)
    whole = replace(facts, flags=(), preview_width=None, preview_height=None)
    assert EVERY_IMAGE.reasons(whole, result.crop_set.crops, logits) == ()


@pytest.mark.parametrize(
    ("data", "make"),
    [
        pytest.param(raw_tiff("NIKON", jpeg=JPEG), "NIKON", id="NEF"),
        pytest.param(raw_tiff("PENTAX", order=">", jpeg=JPEG), "PENTAX", id="big-endian"),
        pytest.param(sample_raws.rw2(JPEG), "Panasonic", id="RW2, whose head is its own"),
        pytest.param(sample_raws.cr3(JPEG), "Canon", id="CR3, in parts"),
        pytest.param(sample_raws.raf(encoded(photo(320, 240), "JPEG", exif=exif_block())), "Acme", id="RAF"),
    ],
)
def test_exif_is_the_raw_files(data: bytes, make: str) -> None:
    exif, flags = read_exif(decode(data), data)
    assert (exif.make, flags) == (make, ())
    if make == "Canon":
        assert (exif.orientation, exif.original_date) == (6, "2021:02:03 04:05:06")


def test_a_raw_file_is_developed_only_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "can_develop", lambda: False)
    with pytest.raises(FormatNotRead, match="pip install rawpy; then run the scan again"):
        decode(raw_tiff("NIKON", jpeg=JPEG), ReadLimits(develop_raw=True))


def test_libraw_develops_a_dng_without_turning_it() -> None:
    pytest.importorskip("rawpy")
    source = decode(sample_raws.dng(), ReadLimits(develop_raw=True))
    assert (source.format, source.flags, source.original_size) == ("DNG", ("developed",), None)
    assert (source.width, source.height) == SIZE
    assert pixels(source).std() > 1
    with pytest.raises(
        FormatNotRead, match=r"LibRaw can't develop it .*; without --develop-raw its preview is"
    ):
        decode(raw_tiff("NIKON", jpeg=JPEG), ReadLimits(develop_raw=True))
    with pytest.raises(TooManyPixels):
        decode(sample_raws.dng(), ReadLimits(develop_raw=True, max_pixels=1000))


def what_came_of(data: bytes) -> str:
    try:
        return " ".join(decode(data, name="a.nef").flags)
    except Exception as error:
        return str(error)


@pytest.mark.parametrize(
    "mutate",
    [
        pytest.param(lambda data: data[: len(data) // 3], id="cut"),
        pytest.param(lambda data: data[:8], id="header alone"),
        pytest.param(lambda data: data[:4] + b"\xff\xff\xff\xff" + data[8:], id="a directory beyond the end"),
    ],
)
def test_damaged_raw_files_end_in_an_error_or_a_flag(mutate: Callable[[bytes], bytes]) -> None:
    for data in (
        raw_tiff("NIKON", jpeg=JPEG),
        sample_raws.cr3(JPEG),
        sample_raws.raf(JPEG),
        sample_raws.rw2(JPEG),
    ):
        outcome = what_came_of(mutate(data))
        assert outcome, "pixels without a flag"


@given(st.data())
def test_any_bytes_are_looked_at_without_an_error(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([raw_tiff("NIKON", jpeg=JPEG), *OTHERS]))
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(
            st.integers(0, len(whole) - 1) | st.integers(max(len(whole) - 400, 0), len(whole) - 1)
        )
        changed[place] = data.draw(st.integers(0, 255))
    found = raw.inspect(bytes(changed), "a.nef")
    assert found is None or found.format


def test_many_tags_that_share_a_long_value_take_no_memory() -> None:
    """Each of 4,000 tags claims 64 MB; reading them all would take 256 GB."""
    file, blob = TiffFile(), samples(80 * 60)
    page = image_tags(SMALL, CFA, file.add(blob), len(blob))
    start = file.directory(page | {40_000 + index: (0, 0) for index in range(4000)})
    data = bytearray(file.finish(start))
    for entry in range(start + 2, start + 2 + 12 * (4000 + len(page)), 12):
        if int.from_bytes(data[entry : entry + 2], "little") >= 40_000:
            data[entry + 4 : entry + 8] = (16 << 20).to_bytes(4, "little")
    tracemalloc.start()
    found = raw.inspect(bytes(data))
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    assert found is not None
    assert found.size == SMALL
