"""How long the rest of a scan takes, by the images so far and the sizes of those that are left.

Reading an image takes a time that grows with its bytes; scoring takes the same for each. Both share the
cores, so the work of some images is

    work = (images * per_image + bytes * per_byte) / readers + images * per_score / batches_at_once

``per_image`` and ``per_byte`` are fitted by least squares to the times that single reads took. The time that
the scan really took for its work so far, by that work, is what a unit of the work that is left takes. What
comes before workers and models are warm does not count.
"""

from __future__ import annotations

import threading
import time

from sidscan.records import Item, Kind, ScanResult, Stage

FIRST = 100
"""Images after which an estimate is made."""
_FIRST_SECONDS = 30.0  # an estimate is made then, if there are this many images:
_FEWEST = 10
_WARM = 2  # reads of each worker, and batches, that do not count


class Pace:
    """Counts what is read, scored and done; called from the threads that do it.

    Args:
        readers: how many images are read at the same time.
        at_once: how many batches are scored at the same time.
    """

    def __init__(self, readers: int, at_once: int) -> None:
        self._readers, self._at_once = readers, at_once
        self._lock = threading.Lock()
        self._reads = self._batches = 0
        # Of the reads that count: number, sums of bytes, seconds, bytes squared, bytes * seconds.
        self._sums = [0.0] * 5
        self._scored, self._score_seconds = 0, 0.0
        self._left = self._left_bytes = 0
        self._done = self._done_bytes = 0
        self._started: float | None = None
        self._is_all = True

    def expect(self, images: int, size: int, is_all: bool = True) -> None:
        """Set what there is to do: images, and the bytes of their files.

        Args:
            is_all: whether that is all; else more is listed, and nobody knows how long it takes.
        """
        self._left, self._left_bytes, self._is_all = images, size, is_all

    def expect_more(self, images: int, size: int) -> None:
        """Add to what there is to do."""
        self._left += images
        self._left_bytes += size

    def read(self, item: Item, seconds: float) -> None:
        """Note how long an image took to read."""
        size = item.size
        with self._lock:
            self._reads += 1
            if self._reads > _WARM * self._readers:
                for index, value in enumerate((1, size, seconds, size * size, size * seconds)):
                    self._sums[index] += value

    def scored(self, images: int, seconds: float) -> None:
        """Note how long a batch took to score."""
        with self._lock:
            self._batches += 1
            if self._batches > _WARM:
                self._scored += images
                self._score_seconds += seconds

    def done(self, results: list[ScanResult]) -> None:
        """Note what was recorded."""
        read = [result for result in results if result.stage is not Stage.LIST]
        size = sum((result.facts.bytes or 0) for result in read if result.kind is not Kind.URL)
        self._left -= len(read)
        self._left_bytes = max(0, self._left_bytes - size)
        if self._started is not None:
            self._done += len(read)
            self._done_bytes += size
        elif self._batches > _WARM and self._sums[0]:
            self._started = time.monotonic()

    def is_known(self) -> bool:
        """Whether enough was seen for an estimate."""
        if not self._is_all or self._started is None or self._done < _FEWEST:
            return False
        return self._done >= FIRST or time.monotonic() - self._started >= _FIRST_SECONDS

    def seconds_left(self) -> float | None:
        """How long the rest takes; None while that is not known."""
        if not self.is_known() or self._started is None:
            return None
        elapsed = time.monotonic() - self._started
        done = self._work(self._done, self._done_bytes)
        return elapsed / done * self._work(self._left, self._left_bytes) if done else None

    @property
    def images_seen(self) -> int:
        """How many images the estimate rests on."""
        return self._done

    @property
    def has_read(self) -> bool:
        """Whether an image was read in this session."""
        return self._reads > 0

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to read, and nothing was read yet."""
        return not self.has_read and self._left > 0

    @property
    def images_left(self) -> int:
        """How many images have no result yet."""
        return self._left

    def _work(self, images: int, size: float) -> float:
        per_image, per_byte = self._reading()
        per_score = self._score_seconds / max(self._scored, 1)
        return (images * per_image + size * per_byte) / self._readers + images * per_score / self._at_once

    def _reading(self) -> tuple[float, float]:
        """Seconds per image, and per byte of it; neither is negative."""
        with self._lock:
            number, sizes, seconds, squares, products = self._sums
        spread = number * squares - sizes * sizes
        slope = (number * products - sizes * seconds) / spread if spread > 0 else 0.0
        slope = min(max(slope, 0.0), seconds / sizes) if sizes else 0.0
        return (seconds - slope * sizes) / max(number, 1), slope
