"""What killed earlier attempts at a shard: images that end the whole scan get their row, too.

An image that ends its reader's process costs that process alone. But one may end the scan itself, by a fault
of a driver, for example, or when memory runs out. So from the second attempt on, the images that may have
been under way are read alone, and each is named before; one that was named twice is not read again.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from sidscan.util.files import atomic_write

_MOST_ALONE = 2  # attempts at one image


class Attempts:
    """A small file beside a shard's local journal, written before what it tells of happens."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begun, self._alone, self._done = 0, dict[str, int](), 0
        with suppress(OSError, ValueError, LookupError, TypeError):  # missing, or half written
            kept = json.loads(path.read_text(encoding="utf-8"))
            self._begun, self._alone = int(kept["begun"]), dict(kept["alone"])
            self._done = int(kept["done"])

    @property
    def done(self) -> int:
        """How many inputs had results when something was noted last."""
        return self._done

    @property
    def are_noted(self) -> bool:
        """Whether an earlier attempt began, and none was the last one."""
        return self._path.exists()

    def begin(self, done: int) -> bool:
        """Note that an attempt begins; returns whether an earlier one ended without a word.

        Args:
            done: how many inputs have results.
        """
        self._begun, self._done = self._begun + 1, done
        self._write()
        return self._begun > 1

    def end(self) -> None:
        """Note that the attempt ended in an orderly way."""
        self._begun = 0
        self._write()

    def try_alone(self, name: str) -> bool:
        """Note that an image is read alone; False if that was tried too often."""
        tries = self._alone.get(name, 0)
        if tries >= _MOST_ALONE:
            return False
        self._alone[name] = tries + 1
        self._write()
        return True

    def survived(self, name: str) -> None:
        """Forget an image that has its row."""
        self._alone.pop(name, None)
        self._done += 1

    def remove(self) -> None:
        """Remove the file."""
        with suppress(OSError):
            self._path.unlink()

    def _write(self) -> None:
        with atomic_write(self._path) as partial:
            noted = {"begun": self._begun, "alone": self._alone, "done": self._done}
            partial.write_text(json.dumps(noted), encoding="utf-8")
