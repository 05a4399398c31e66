"""Messages of a worker arrive as sent; everything else raises one kind of error."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidscan.config import SIDE, ReadLimits, ScanConfig
from sidscan.isolation.frames import READY, Frame, ProtocolError, read_frame, write_frame
from sidscan.isolation.protocol import (
    Answer,
    AnswerParser,
    WorkerOptions,
    decode_answer,
    decode_small_images,
    decode_task,
    encode_answer,
    encode_pixels,
    encode_task,
    encode_views,
    max_payload,
)
from sidscan.records import (
    PROVENANCE_STRENGTHS,
    PROVENANCE_WORDS,
    CropSet,
    DecodedImage,
    Exif,
    Failure,
    ImageInfo,
    Item,
    Kind,
    Marker,
    Provenance,
    Response,
    SignatureCheck,
    Stage,
    Status,
    Trace,
)
from sidscan.records.views import ImageView

quick = settings(max_examples=60, deadline=None)
ITEM = Item("a.jpg")
texts = st.none() | st.text(max_size=20)
numbers = st.none() | st.integers(0, (1 << 53) - 1)
degrees = st.none() | st.floats(-180, 180)
scalars = st.text(max_size=9) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
dates = st.none() | st.datetimes(timezones=st.none() | st.just(timezone.utc)).map(
    lambda date: date.isoformat(timespec="seconds")
)
exifs = st.builds(
    Exif,
    **dict.fromkeys(("make", "model", "lens", "original_date", "software"), texts),
    latitude=degrees,
    longitude=degrees,
    orientation=st.none() | st.integers(1, 8),
    tags=st.dictionaries(st.text(max_size=9), scalars | st.lists(scalars, max_size=3), max_size=3),
    original_date_iso=dates,
    gps_date_iso=dates,
)
words = st.text(max_size=20)
markers = st.builds(
    Marker,
    **dict.fromkeys(("id", "container", "key", "value", "says", "signer"), words),
    verdict=st.sampled_from(PROVENANCE_WORDS),
    strength=st.sampled_from(("", *PROVENANCE_STRENGTHS)),
    offset=st.integers(0, (1 << 53) - 1),
)
yes_or_no = st.none() | st.booleans()
signatures = st.builds(
    SignatureCheck,
    state=words,
    **dict.fromkeys(("bytes_unchanged", "signature_good", "signer_listed"), yes_or_no),
    signed_at=texts,
    codes=st.lists(words, max_size=2).map(tuple),
    error=words,
)
provenances = st.builds(
    Provenance,
    signature=st.none() | signatures,
    verdict=st.sampled_from(PROVENANCE_WORDS),
    strength=st.none() | st.sampled_from(PROVENANCE_STRENGTHS),
    checked=words,
    markers=st.lists(markers, max_size=2).map(tuple),
    **dict.fromkeys(("byline", "credit", "source", "caption", "copyright"), texts),
)
traces = st.builds(
    Trace,
    id=st.from_regex(r"[a-z0-9_]{1,40}", fullmatch=True),
    **dict.fromkeys(("detail", "container", "value"), words),
    offset=st.integers(0, (1 << 53) - 1),
)
infos = st.builds(
    ImageInfo,
    bytes=numbers,
    sha256=st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
    format=texts,
    width=numbers,
    height=numbers,
    flags=st.lists(st.from_regex(r"[a-z0-9_]{1,40}", fullmatch=True), max_size=3).map(tuple),
    exif=exifs,
    jpeg_quality=numbers,
    modified_at=dates,
    preview_width=numbers,
    preview_height=numbers,
    lossless=st.none() | st.booleans(),
    perceptual_hash=st.none() | st.just("") | st.text("0123456789abcdef", min_size=64, max_size=64),
    provenance=st.none() | provenances,
    traces=st.none() | st.lists(traces, max_size=2).map(tuple),
)
failures = st.builds(
    Failure,
    item=st.just(ITEM),
    stage=st.sampled_from(Stage),
    error=st.text(max_size=20),
    message=st.text(max_size=20),
    facts=infos,
    status=st.sampled_from([status for status in Status if status.failed]),
)


@st.composite
def crop_sets(draw: st.DrawFn) -> CropSet:
    count = draw(st.integers(1, 6))
    crops = np.random.default_rng(count).integers(0, 256, (count, 224, 224, 3), dtype=np.uint8)
    indices = [
        *range(count),
        *draw(st.lists(st.integers(0, count - 1), min_size=10 - count, max_size=10 - count)),
    ]
    return CropSet(crops, tuple((index, draw(st.booleans())) for index in draw(st.permutations(indices))))


def sent(frame: Frame) -> Frame:
    """The frame as it comes out of a pipe."""
    pipe = io.BytesIO()
    write_frame(pipe, frame)
    pipe.seek(0)
    received = read_frame(pipe, len(frame.payload))
    assert pipe.read() == b""
    return received


def received(answer: Answer) -> Answer:
    return decode_answer(sent(encode_answer(answer)), ITEM, 10)


@quick
@given(infos)
def test_facts_arrive_as_sent(info: ImageInfo) -> None:
    assert received(info) == info


@quick
@given(failures)
def test_failures_arrive_as_sent(failure: Failure) -> None:
    assert received(failure) == failure


@settings(max_examples=15, deadline=None)
@given(infos, crop_sets())
def test_crops_arrive_as_sent(info: ImageInfo, crops: CropSet) -> None:
    decoded = received(DecodedImage(ITEM, info, crops))
    assert isinstance(decoded, DecodedImage)
    assert (decoded.facts, decoded.crop_set.order) == (info, crops.order)
    assert np.array_equal(decoded.crop_set.crops, crops.crops)


PIXELS = np.random.default_rng(0).integers(0, 256, (900, 500, 3), dtype=np.uint8)  # two frames
SIZED = ImageInfo(width=500, height=900)


def parser_of_pixels(max_pixels: int = 900 * 500) -> AnswerParser:
    """A parser that has the crops of `PIXELS`, and waits for its rows."""
    parser = AnswerParser(ITEM, ImageInfo(), 1, max_pixels)
    crops = CropSet.plain(np.zeros((1, SIDE, SIDE, 3), np.uint8))
    parser.feed(sent(encode_answer(DecodedImage(ITEM, SIZED, crops))))
    return parser


def test_pixels_arrive_as_sent_and_an_image_without_all_of_them_is_none() -> None:
    parser, (first, second) = parser_of_pixels(), map(sent, encode_pixels(PIXELS))
    parser.feed(first)
    assert parser.decoded is None
    parser.feed(second)
    parser.feed(sent(encode_answer(SIZED, last=True)))
    result = parser.result()
    assert isinstance(result, DecodedImage)
    assert result.pixels is not None
    assert np.array_equal(result.pixels, PIXELS)


FIRST, SECOND = encode_pixels(PIXELS)


@pytest.mark.parametrize(
    ("max_pixels", "good", "bad"),
    [
        pytest.param(0, [], FIRST, id="nobody asked"),
        pytest.param(900 * 500 - 1, [], FIRST, id="too many"),
        pytest.param(900 * 500, [], SECOND, id="the end first"),
        pytest.param(900 * 500, [FIRST], FIRST, id="rows twice"),
        pytest.param(900 * 500, [FIRST, SECOND], Frame({"top": 900}, last=False), id="rows beyond"),
        pytest.param(900 * 500, [], Frame({"top": 0}, FIRST.payload[:-3], last=False), id="cut short"),
        pytest.param(900 * 500, [], Frame({"top": "0"}, FIRST.payload, last=False), id="no number"),
        pytest.param(900 * 500, [], replace(FIRST, last=True), id="as the last"),
    ],
)
def test_other_rows_than_those_expected_are_refused(max_pixels: int, good: list[Frame], bad: Frame) -> None:
    parser = parser_of_pixels(max_pixels)
    for frame in good:
        parser.feed(frame)
    with pytest.raises(ProtocolError):
        parser.feed(bad)


def test_an_answer_whose_pixels_are_missing_is_refused() -> None:
    parser = parser_of_pixels()
    parser.feed(sent(encode_answer(SIZED, last=True)))
    with pytest.raises(ProtocolError):
        parser.result()


VIEWS = (ImageView(crop=40), ImageView(resize=30))
PICTURES = (PIXELS[:40, :40], PIXELS[:54, :30])
FIRST_VIEW, SECOND_VIEW = encode_views(PICTURES)


def parser_of_views(views: tuple[ImageView, ...] = VIEWS, max_pixels: int = 0) -> AnswerParser:
    """A parser that has the crops of an image, and waits for its pictures."""
    parser = AnswerParser(ITEM, ImageInfo(), 1, max_pixels, views)
    crops = CropSet.plain(np.zeros((1, SIDE, SIDE, 3), np.uint8))
    parser.feed(sent(encode_answer(DecodedImage(ITEM, SIZED, crops))))
    return parser


@pytest.mark.parametrize("with_pixels", [False, True], ids=["views", "views and pixels"])
def test_views_arrive_as_sent_and_an_image_without_all_of_them_is_none(with_pixels: bool) -> None:
    parser = parser_of_views(max_pixels=900 * 500 if with_pixels else 0)
    frames = [FIRST_VIEW, SECOND_VIEW, *(encode_pixels(PIXELS) if with_pixels else ())]
    for frame in frames:
        assert parser.decoded is None
        parser.feed(sent(frame))
    parser.feed(sent(encode_answer(SIZED, last=True)))
    result = parser.result()
    assert isinstance(result, DecodedImage)
    assert tuple(result.views) == VIEWS
    assert all(np.array_equal(*each) for each in zip(result.views.values(), PICTURES, strict=True))
    assert (result.pixels is not None) == with_pixels


@pytest.mark.parametrize(
    ("views", "good", "bad"),
    [
        pytest.param((), [], FIRST_VIEW, id="nobody asked"),
        pytest.param(VIEWS, [], SECOND_VIEW, id="the second first"),
        pytest.param(VIEWS, [FIRST_VIEW], FIRST_VIEW, id="twice"),
        pytest.param(VIEWS, [FIRST_VIEW, SECOND_VIEW], SECOND_VIEW, id="too many"),
        pytest.param(VIEWS, [], Frame({"view": 0}, FIRST_VIEW.payload[:-3], last=False), id="cut short"),
        pytest.param(VIEWS, [], Frame({"view": False}, FIRST_VIEW.payload, last=False), id="no number"),
        pytest.param(VIEWS, [], replace(FIRST_VIEW, last=True), id="as the last"),
    ],
)
def test_other_views_than_those_expected_are_refused(
    views: tuple[ImageView, ...], good: list[Frame], bad: Frame
) -> None:
    parser = parser_of_views(views)
    for frame in good:
        parser.feed(frame)
    with pytest.raises(ProtocolError):
        parser.feed(bad)


def test_views_of_an_image_without_a_size_are_refused() -> None:
    parser = AnswerParser(ITEM, ImageInfo(), 1, views=VIEWS)
    with pytest.raises(ProtocolError):
        parser.feed(FIRST_VIEW)
    crops = CropSet.plain(np.zeros((1, SIDE, SIDE, 3), np.uint8))
    parser.feed(sent(encode_answer(DecodedImage(ITEM, ImageInfo(), crops))))
    with pytest.raises(ProtocolError):
        parser.feed(FIRST_VIEW)


@pytest.mark.parametrize("view", [*VIEWS, ImageView(), ImageView(max_side=9)], ids=str)
@pytest.mark.parametrize("size", [(1, 1), (1, 800), (800, 3), (800, 800)], ids=str)
def test_no_view_is_larger_than_a_frame_may_be(view: ImageView, size: tuple[int, int]) -> None:
    columns, rows = view.size(*size)
    assert 3 * columns * rows <= max_payload(ReadLimits(views=(view,), max_side=800))


def test_a_worker_knows_which_views_to_make() -> None:
    options = WorkerOptions(64, 1.0, ReadLimits(views=VIEWS))
    assert WorkerOptions.from_json(options.to_json()) == options


@quick
@given(st.text(max_size=20), st.sampled_from(Kind), st.binary(max_size=20))
def test_tasks_arrive_as_sent(name: str, kind: Kind, data: bytes) -> None:
    item = Item(name, kind)
    assert decode_task(sent(encode_task(item, data))) == (item, data)


def test_undecodable_names_and_long_messages_arrive() -> None:
    assert decode_task(sent(encode_task(Item("caf\udce9")))) == (Item("caf\udce9"), None)
    failure = received(Failure(ITEM, Stage.READ, "E", "x" * 100_000))
    assert isinstance(failure, Failure)
    assert failure.message == "x" * 65_536


def test_options_arrive_as_sent() -> None:
    config = ScanConfig(inputs=("a",), memory_limit=70, item_timeout=2.5, crops="center", max_side=99)
    options = WorkerOptions.from_config(config)
    assert options == WorkerOptions(70, 2.5, ReadLimits(crops="center", max_side=99))
    assert WorkerOptions.from_json(options.to_json()) == options


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=9), values, max_size=3),
    max_leaves=9,
)


@st.composite
def mangled_heads(draw: st.DrawFn) -> Any:
    """The head of a valid answer, with a random part replaced, removed or added."""
    answer = draw(infos | failures)
    head = json.loads(json.dumps(encode_answer(answer).head))
    if draw(st.booleans()):
        head["order"] = [[0, False]] * 10
    for _ in range(draw(st.integers(1, 3))):
        parent: Any = head
        while True:
            key = draw(st.sampled_from(sorted(parent)) if parent else st.text(max_size=5))
            if isinstance(parent.get(key), dict) and draw(st.booleans()):
                parent = parent[key]
                continue
            break
        change = draw(st.sampled_from(("replace", "remove", "add")))
        if change == "remove":
            parent.pop(key, None)
        else:
            parent[key if change == "replace" else draw(st.text(max_size=5))] = draw(json_values)
    return head


@settings(max_examples=300, deadline=None)
@given(mangled_heads() | json_values, st.sampled_from((b"", b"x", bytes(224 * 224 * 3))))
def test_mangled_heads_are_refused_or_make_sense(head: Any, payload: bytes) -> None:
    """Only `ProtocolError` is raised, and an accepted answer can be sent again unchanged."""
    try:
        answer = decode_answer(Frame(head, payload), ITEM, 10)
    except ProtocolError:
        return
    again = received(answer)
    if isinstance(answer, DecodedImage) and isinstance(again, DecodedImage):
        assert (again.facts, again.crop_set.order) == (answer.facts, answer.crop_set.order)
    else:
        assert again == answer


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 200), st.binary(max_size=4), st.integers(0, 4))
def test_mangled_frames_are_refused_or_make_sense(offset: int, patch: bytes, removed: int) -> None:
    pipe = io.BytesIO()
    write_frame(pipe, encode_task(ITEM, b"payload"))
    data = bytearray(pipe.getvalue())
    offset %= len(data)
    data[offset : offset + removed] = patch
    try:
        item, payload = decode_task(read_frame(io.BytesIO(data), 1000))
    except (EOFError, ProtocolError):
        return
    assert decode_task(encode_task(item, payload)) == (item, payload)


WEBP = b"RIFF\x04\0\0\0WEBP"


def test_a_thumbnail_arrives_with_the_last_facts() -> None:
    parser = AnswerParser(Item("a"), ImageInfo(), 1)
    crops = CropSet.plain(np.zeros((1, SIDE, SIDE, 3), np.uint8))
    parser.feed(encode_answer(DecodedImage(Item("a"), ImageInfo(), crops)))
    parser.feed(encode_answer(ImageInfo(width=5), last=True, thumbnail=WEBP))
    result = parser.result()
    assert isinstance(result, DecodedImage)
    assert (result.thumbnail, result.facts.width) == (WEBP, 5)


@pytest.mark.parametrize(
    ("thumbnail", "second"), [(WEBP + b"a", WEBP + b"b"), (b"", WEBP)], ids=["both", "second alone"]
)
def test_a_second_image_arrives_with_the_thumbnail(thumbnail: bytes, second: bytes) -> None:
    frame = encode_answer(ImageInfo(), last=True, thumbnail=thumbnail, second_image=second)
    assert decode_small_images(frame) == (thumbnail, second)


def test_a_small_image_that_is_too_large_is_not_sent() -> None:
    large = WEBP + bytes(1 << 16)
    assert encode_answer(ImageInfo(), last=True, thumbnail=large).payload == b""
    frame = encode_answer(ImageInfo(), last=True, thumbnail=WEBP, second_image=large)
    assert decode_small_images(frame) == (WEBP, b"")


@pytest.mark.parametrize("length", [-1, True, None, "12", 13, 1 << 70], ids=repr)
def test_an_impossible_length_of_a_thumbnail_is_refused(length: object) -> None:
    frame = Frame({**encode_answer(ImageInfo()).head, "thumbnail": length}, WEBP + WEBP, last=True)
    with pytest.raises(ProtocolError):
        decode_answer(frame, Item("a"), 1)


@pytest.mark.parametrize(
    ("payload", "last"),
    [(b"GIF89a", True), (WEBP, False), (WEBP + bytes(1 << 16), True)],
    ids=["not WebP", "before the end", "too large"],
)
def test_other_bytes_with_facts_are_refused(payload: bytes, last: bool) -> None:
    frame = Frame(encode_answer(ImageInfo()).head, payload, last)
    with pytest.raises(ProtocolError, match="thumbnail"):
        decode_answer(frame, Item("a"), 1)


@pytest.mark.parametrize(
    "head",
    [
        *(b"[]", b"{}", b'{"head": {}}', b'{"head": [], "last": true}', b'{"head": {}, "last": 1}', b"NaN"),
        *(b'{"head": {"a": NaN}, "last": true}', b'{"head": {}, "last": true, "more": 1}'),
        *(b"[" * 100_000, b"\xff"),
    ],
    ids=lambda head: repr(head[:40]),
)
def test_bytes_that_are_not_a_frame_are_refused(head: bytes) -> None:
    lengths = len(head).to_bytes(4, "big") + bytes(8)
    with pytest.raises(ProtocolError):
        read_frame(io.BytesIO(lengths + head), 0)


def test_a_frame_may_not_be_longer_than_allowed() -> None:
    pipe = io.BytesIO()
    write_frame(pipe, Frame({}, b"12345"))
    with pytest.raises(ProtocolError, match="impossible length"):
        read_frame(io.BytesIO(pipe.getvalue()), 4)
    assert read_frame(io.BytesIO(pipe.getvalue()), 5).payload == b"12345"
    assert sent(READY) == READY


def test_a_worker_cannot_override_what_the_scan_fetched() -> None:
    known = ImageInfo(bytes=5, sha256="a" * 64, response=Response("http://a.example/"))
    parser = AnswerParser(Item("http://a.example/", Kind.URL), known, 10)
    made_up = ImageInfo(bytes=6, sha256="b" * 64, width=3, modified_at="2021-03-04T05:06:07+00:00")
    parser.feed(encode_answer(made_up))
    assert parser.info == ImageInfo(bytes=5, sha256="a" * 64, width=3, response=known.response)
    assert parser.failure("E", "m", Status.CRASHED).stage is Stage.DECODE


def test_an_answer_needs_crops_or_a_failure() -> None:
    parser = AnswerParser(ITEM, ImageInfo(), 10)
    parser.feed(encode_answer(ImageInfo(width=3), last=True))
    with pytest.raises(ProtocolError):
        parser.result()
    assert parser.failure("E", "m", Status.CRASHED).stage is Stage.READ
