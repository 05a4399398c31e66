"""A worker process of `sidscan.isolation.reader`: it reads images until the scan is gone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial

from sidscan.config import ReadLimits
from sidscan.images import decode, items
from sidscan.isolation.frames import Frame
from sidscan.isolation.protocol import WorkerOptions, decode_task, encode_answer, encode_pixels, encode_views
from sidscan.isolation.serving import serve
from sidscan.records import DecodedImage, Failure, ImageInfo
from sidscan.traces.read import with_provenance_and_traces


def main() -> None:
    """Answer tasks until standard input ends. The argument is `WorkerOptions` as JSON."""
    options = WorkerOptions.from_json(sys.argv[1])
    decode.load_decoders()  # while it may still write what Python compiles
    serve(
        partial(_answer, limits=options.limits),
        options.memory_limit,
        seconds=lambda _: options.item_timeout,
        prepare=decode.warm_up,  # what every worker holds does not count against the limit
    )


def _answer(task: Frame, limits: ReadLimits) -> Iterator[Frame]:
    item, data = decode_task(task)
    info = ImageInfo()  # of given bytes, the scan knows size and hash itself
    if data is None:
        loaded = items.load_item(item, limits.max_bytes)
        if isinstance(loaded, Failure):
            yield encode_answer(loaded, last=True)
            return
        data, info = loaded
        yield encode_answer(info)  # the hash is known, whatever follows
    last_step = partial(with_provenance_and_traces, data=data, limits=limits)
    results = items.decode_item(item, data, info, limits, last_step)
    result = next(results)
    if isinstance(result, Failure):
        yield encode_answer(result, last=True)
        return
    yield encode_answer(result)
    yield from encode_views(result.views.values())
    if result.pixels is not None:
        yield from encode_pixels(result.pixels)
    described = next(results)
    assert isinstance(described, DecodedImage)
    small = {"thumbnail": described.thumbnail, "second_image": described.second_image}
    yield encode_answer(described.facts, last=True, **small)
