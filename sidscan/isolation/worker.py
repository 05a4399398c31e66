"""A worker process of `sidscan.isolation.reader`: it reads images until the scan is gone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from sidscan.config import ReadLimits
from sidscan.images import decode, items
from sidscan.isolation.confinement import confine
from sidscan.isolation.frames import READY, Frame, read_frame, write_frame
from sidscan.isolation.limits import exit_with_parent, ignore_signals, limit_memory, limit_time, take_stdout
from sidscan.isolation.protocol import WorkerOptions, decode_task, encode_answer, encode_pixels
from sidscan.records import DecodedImage, Failure, ImageInfo
from sidscan.traces.read import with_provenance_and_traces


def main() -> None:
    """Answer tasks until standard input ends. The argument is `WorkerOptions` as JSON."""
    options = WorkerOptions.from_json(sys.argv[1])
    answers = take_stdout()
    ignore_signals()
    confine()  # before there is another thread
    exit_with_parent(os.getppid())
    decode.warm_up()  # what every worker holds does not count against the limit
    limit_memory(options.memory_limit)
    write_frame(answers, READY)
    with suppress(EOFError, BrokenPipeError):
        while True:
            task = read_frame(sys.stdin.buffer)
            limit_time(options.item_timeout)
            for frame in _answer(task, options.limits):
                write_frame(answers, frame)


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
    if result.pixels is not None:
        yield from encode_pixels(result.pixels)
    described = next(results)
    assert isinstance(described, DecodedImage)
    small = {"thumbnail": described.thumbnail, "second_image": described.second_image}
    yield encode_answer(described.facts, last=True, **small)
