"""What a scan and its workers say to each other: both sides of the codec in one place.

A message is a frame (`sidscan.isolation.frames`): a JSON head and raw bytes. Nothing is unpickled: a process
that a malicious file has taken over can lie, in this answer and in later ones, but it can't run anything in
the scan.

1. The scan starts a worker with `WorkerOptions` as its argument; the worker sends `READY`.
2. The scan sends a task (`encode_task`, `decode_task`).
3. The worker answers with a file's size and hash, then with its crops, then, if asked for, with pictures of
   the whole image (`encode_views`) and with all pixels, a few rows at a time (`encode_pixels`), then with its
   EXIF, provenance, traces and perhaps small images; or a failure instead of the rest (`encode_answer`,
   `decode_answer`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from sidscan.config import SIDE, Crops, ReadLimits, ScanConfig
from sidscan.isolation.frames import Frame, ProtocolError, fields_of, mapping_of
from sidscan.isolation.info_codec import (
    MAX_TEXT,
    check_count,
    check_text,
    choice_of,
    decode_info,
    encode_info,
    sequence_of,
)
from sidscan.records import (
    CropRef,
    CropSet,
    DecodedImage,
    Failure,
    ImageInfo,
    Item,
    Kind,
    Stage,
    Status,
)
from sidscan.records.views import ImageView

MAX_CROPS: Mapping[Crops, int] = {"ten": 6, "center": 1}  # rounding may shift a crop in the mirror image
_MAX_THUMBNAIL = 1 << 16  # bytes
_ROWS_BYTES = 1 << 20  # of the pixels in one frame, unless one row has more

Answer = ImageInfo | DecodedImage | Failure


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a worker must know besides its tasks; it gets this as its argument.

    Attributes:
        memory_limit: MiB that a task may take.
        item_timeout: seconds that a task may take.
    """

    memory_limit: int
    item_timeout: float
    limits: ReadLimits

    @classmethod
    def from_config(cls, config: ScanConfig) -> WorkerOptions:
        """The part of a scan's options that its workers need."""
        limits = ReadLimits(**{option.name: getattr(config, option.name) for option in fields(ReadLimits)})
        return cls(config.memory_limit, config.item_timeout, limits)

    def to_json(self) -> str:
        """As a program's argument."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> WorkerOptions:
        """The inverse of `to_json`."""
        raw = json.loads(text)
        views = tuple(ImageView(**view) for view in raw["limits"]["views"])
        return cls(**{**raw, "limits": ReadLimits(**{**raw["limits"], "views": views})})


def encode_task(item: Item, data: bytes | None = None) -> Frame:
    """The task to read an item.

    Args:
        data: its bytes, as of a URL; None for what a worker opens itself.
    """
    fields = {"name": item.name, "kind": item.kind.value, "fingerprint": item.fingerprint}
    return Frame({**fields, "given": data is not None}, data or b"")


def decode_task(frame: Frame) -> tuple[Item, bytes | None]:
    """The item to read, and its bytes if they are given.

    Raises:
        ProtocolError: it is not a task.
    """
    task = fields_of(frame.head, ("name", "kind", "fingerprint", "given"))
    name, fingerprint = task["name"], task["fingerprint"]
    if not isinstance(name, str) or not isinstance(fingerprint, str):
        raise ProtocolError("name")
    item = Item(name, choice_of(Kind, task["kind"]), fingerprint)
    return item, frame.payload if task["given"] else None


def encode_answer(
    answer: Answer, last: bool = False, thumbnail: bytes = b"", second_image: bytes = b""
) -> Frame:
    """A part of a worker's answer.

    Args:
        last: whether the answer ends with it.
        thumbnail: goes with the last facts; one that is too large is left out.
        second_image: likewise.
    """
    if isinstance(answer, ImageInfo):
        small = [image if len(image) <= _MAX_THUMBNAIL else b"" for image in (thumbnail, second_image)]
        return Frame({"info": encode_info(answer), "thumbnail": len(small[0])}, b"".join(small), last)
    head: dict[str, object] = {"info": encode_info(answer.facts)}
    if isinstance(answer, DecodedImage):
        head["order"] = answer.crop_set.order
        return Frame(head, answer.crop_set.crops.tobytes(), last)
    head["failure"] = {
        "stage": answer.stage.value,
        "error": answer.error[:MAX_TEXT],
        "message": answer.message[:MAX_TEXT],
        "status": answer.status.value,
    }
    return Frame(head, last=last)


def encode_pixels(pixels: NDArray[np.uint8]) -> Iterator[Frame]:
    """All pixels (height, width, 3) of an image, a few rows in each frame."""
    height, width, _ = pixels.shape
    step = rows_per_frame(width)
    for top in range(0, height, step):
        yield Frame({"top": top}, pixels[top : top + step].tobytes(), last=False)


def encode_views(pictures: Iterable[NDArray[np.uint8]]) -> Iterator[Frame]:
    """Pictures (rows, columns, 3) of an image, in the order of `ReadLimits.views`."""
    for number, picture in enumerate(pictures):
        yield Frame({"view": number}, picture.tobytes(), last=False)


def rows_per_frame(width: int) -> int:
    """How many rows of pixels go into one frame."""
    return max(_ROWS_BYTES // (3 * width), 1)


def max_payload(limits: ReadLimits) -> int:
    """Bytes of the payload of the largest frame of an answer."""
    of_crops = MAX_CROPS[limits.crops] * SIDE * SIDE
    of_rows = max(_ROWS_BYTES // 3, limits.max_side) if limits.pixels else 0
    return 3 * max(of_crops, of_rows, *(view.most_pixels(limits.max_side) for view in limits.views))


def decode_answer(frame: Frame, item: Item, num_crops: int) -> Answer:
    """A part of a worker's answer, checked: a record that every report can hold.

    Args:
        item: what the worker was to read.
        num_crops: how many crops a model sees of an image.

    Raises:
        ProtocolError: no worker sends this.
    """
    head = mapping_of(frame.head)
    info = decode_info(head.get("info"))
    if head.keys() == {"info", "failure"} and not frame.payload:
        return _decode_failure(head["failure"], item, info)
    if head.keys() == {"info", "order"}:
        return DecodedImage(item, info, _decode_crops(head["order"], frame.payload, num_crops))
    if head.keys() != {"info", "thumbnail"}:
        raise ProtocolError("neither facts nor crops nor a failure")
    decode_small_images(frame)
    return info


def decode_small_images(frame: Frame) -> tuple[bytes, bytes]:
    """The thumbnail and the second image that go with the last facts; one that is missing is empty.

    Raises:
        ProtocolError: they are anything but small WebP files (RFC 9649, section 2).
    """
    end = check_count(frame.head["thumbnail"])
    small = frame.payload[:end], frame.payload[end:]
    for image in filter(None, small):
        is_webp = image[:4] == b"RIFF" and image[8:12] == b"WEBP" and len(image) <= _MAX_THUMBNAIL
        if not (frame.last and is_webp):
            raise ProtocolError("thumbnail")
    return small


class AnswerParser:
    """Assembles a worker's answer: a file's hash, its crops, perhaps more pixels, its EXIF; or a failure.

    Args:
        known: what the scan knows itself of bytes that it gave; a worker's word on these does not count.
        num_crops: how many crops a model sees of an image.
        max_pixels: how many pixels may come besides; 0 if none were asked for.
        views: the pictures of the whole image that were asked for.

    Attributes:
        info: what is known of the image so far.
        decoded: the image with its crops, and its views and pixels if asked for, once all these arrived.
    """

    def __init__(
        self,
        item: Item,
        known: ImageInfo,
        num_crops: int,
        max_pixels: int = 0,
        views: Sequence[ImageView] = (),
    ) -> None:
        self.item, self.info = item, known
        self.decoded: DecodedImage | None = None
        self._known, self._num_crops, self._max_pixels, self._views = known, num_crops, max_pixels, views
        self._incomplete: DecodedImage | None = None  # the crops, without what else was asked for
        self._pictures: dict[ImageView, NDArray[np.uint8]] = {}  # the views that arrived
        self._pixels: NDArray[np.uint8] | None = None
        self._rows = 0  # of the pixels that arrived
        self._failure: Failure | None = None

    def feed(self, frame: Frame) -> None:
        """Take the next frame of the answer.

        Raises:
            ProtocolError: it makes no sense.
        """
        if frame.head.keys() == {"top"}:
            self._take_rows(frame)
            return
        if frame.head.keys() == {"view"}:
            self._take_view(frame)
            return
        answer = decode_answer(frame, self.item, self._num_crops)
        info = answer if isinstance(answer, ImageInfo) else answer.facts
        known = self._known
        if known.sha256 is not None:
            info = replace(
                info,
                bytes=known.bytes,
                sha256=known.sha256,
                response=known.response,
                modified_at=known.modified_at,
            )
        elif self.item.kind is not Kind.MEMBER and info.response is not None:
            raise ProtocolError("response")
        elif self.info.sha256 not in (None, info.sha256):
            raise ProtocolError("another hash than before")
        self.info = info
        if isinstance(answer, DecodedImage):
            self._incomplete = answer
            self._complete()
        if self.decoded is not None:
            thumbnail, second = decode_small_images(frame) if isinstance(answer, ImageInfo) else (b"", b"")
            self.decoded = replace(self.decoded, facts=info, thumbnail=thumbnail, second_image=second)
        if isinstance(answer, Failure):
            self._failure = replace(answer, facts=info)

    def _complete(self) -> None:
        """Take the image as decoded, once all of it arrived."""
        image, height = self._incomplete, len(self._pixels) if self._pixels is not None else 0
        if image is None or len(self._pictures) < len(self._views):
            return
        if not self._max_pixels or 0 < height == self._rows:
            self.decoded = replace(image, facts=self.info, pixels=self._pixels, views=self._pictures)

    def _take_view(self, frame: Frame) -> None:
        """Add a picture of the whole image, in their order."""
        number = len(self._pictures)
        if self._incomplete is None or frame.last or number == len(self._views):
            raise ProtocolError("view")
        width, height = _size_of(self._incomplete)
        columns, rows = self._views[number].size(width, height)
        if check_count(frame.head["view"]) != number or len(frame.payload) != 3 * columns * rows:
            raise ProtocolError("view")
        picture = np.frombuffer(frame.payload, np.uint8).reshape(rows, columns, 3)
        self._pictures[self._views[number]] = picture
        self._complete()

    def _take_rows(self, frame: Frame) -> None:
        """Add rows of pixels, in their order; the image is complete with the last ones."""
        if self._incomplete is None or frame.last or frame.head["top"] != self._rows:
            raise ProtocolError("rows")
        if self._pixels is None:
            width, height = _size_of(self._incomplete)
            if width * height > self._max_pixels:
                raise ProtocolError("size")
            self._pixels = np.empty((height, width, 3), np.uint8)
        height, width, _ = self._pixels.shape
        bottom = min(self._rows + rows_per_frame(width), height)
        if not frame.payload or len(frame.payload) != 3 * width * (bottom - self._rows):
            raise ProtocolError("rows")
        self._pixels[self._rows : bottom] = np.frombuffer(frame.payload, np.uint8).reshape(-1, width, 3)
        self._rows = bottom
        self._complete()

    def result(self) -> DecodedImage | Failure:
        """The whole answer, after the last frame.

        Raises:
            ProtocolError: it has neither crops nor a failure.
        """
        result = self._failure or self.decoded
        if result is None:
            raise ProtocolError("neither crops nor a failure")
        return result

    def failure(self, error: str, message: str, status: Status) -> Failure:
        """The failure of an item whose answer is incomplete or wrong."""
        stage = Stage.READ if self.info.sha256 is None else Stage.DECODE
        return Failure(self.item, stage, error, message, self.info, status)


def _size_of(image: DecodedImage) -> tuple[int, int]:
    width, height = image.facts.scored_size
    if not width or not height:
        raise ProtocolError("size")
    return width, height


def _decode_failure(raw: object, item: Item, info: ImageInfo) -> Failure:
    failure = fields_of(raw, ("stage", "error", "message", "status"))
    error, message = check_text(failure["error"]), check_text(failure["message"])
    status = choice_of(Status, failure["status"])
    if error is None or message is None or not status.failed:
        raise ProtocolError("failure")
    return Failure(item, choice_of(Stage, failure["stage"]), error, message, info, status)


def _decode_crops(raw_order: object, payload: bytes, count: int) -> CropSet:
    if len(payload) % (SIDE * SIDE * 3):
        raise ProtocolError("crops")
    crops = np.frombuffer(payload, np.uint8).reshape(-1, SIDE, SIDE, 3)
    order = tuple(_decode_crop_ref(raw) for raw in sequence_of(raw_order))
    if len(order) != count or {index for index, _ in order} != set(range(len(crops))):
        raise ProtocolError("order")
    return CropSet(crops, order)


def _decode_crop_ref(raw: object) -> CropRef:
    values = sequence_of(raw)
    if len(values) != 2:
        raise ProtocolError("crop")
    index, mirrored = values
    if type(index) is not int or type(mirrored) is not bool:
        raise ProtocolError("crop")
    return index, mirrored
