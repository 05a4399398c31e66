"""``python -m sidscan``."""

import os
import sys


def _forget_the_current_folder() -> None:
    """``-m`` searches the current folder first. That may be the archive, whose tqdm.py must not be imported.

    What was imported before this runs can't be helped: docs/background/threat-model.md.
    """
    if sys.flags.isolated or getattr(sys.flags, "safe_path", False):  # then -m put nothing there
        return
    try:
        current = os.getcwd()  # noqa: PTH109  (to import pathlib might be to import it from there)
    except OSError:  # it was removed
        current = ""
    if sys.path[0] in ("", current):
        del sys.path[0]


_forget_the_current_folder()

from sidscan.cli import main  # noqa: E402

main()
