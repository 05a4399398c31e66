"""What trainings share: where a result goes, and the file beside it from which a stopped run goes on."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sidscan.errors import OutputError, SidscanError, UsageError
from sidscan.models.own_files import check_replaceable, is_checkpoint
from sidscan.reports.output_files import check_folder
from sidscan.util.files import atomic_write


class Diverged(SidscanError):
    """The loss is infinite or NaN; the weights are useless."""

    exit_code = UsageError.exit_code


def check_output(out: Path, fresh: bool, overwrite: bool) -> None:
    """Check before the work that its result can be written, and before it is that it may be.

    Raises:
        UsageError: the file exists, and neither flag is set.
        OutputError: ``fresh`` alone is set, and it is no checkpoint of sidscan; or its folder is missing or
            read-only.
    """
    check_replaceable(out, fresh, overwrite, is_checkpoint)
    check_folder(out)
    if not os.access(out.parent, os.W_OK):
        raise OutputError(f"the folder {out.parent} is not writable", "Choose another --out.")


def save_unfinished(path: Path, state: Mapping[str, Any]) -> None:
    """Replace what was saved before.

    Args:
        state: with ``format`` and ``key``, by which a later run tells whether it can go on from it.

    Raises:
        OutputError: the file can't be written (a full disk, say); what was saved before stays.
    """
    try:
        with atomic_write(path) as partial:
            torch.save(dict(state), partial)
    except (OSError, RuntimeError) as error:  # torch's own writer raises the latter
        raise OutputError(
            f"can't write {path}: {error}", "Make room; the same command goes on from the last save."
        ) from error


def read_unfinished(path: Path) -> dict[str, Any] | None:
    """What `save_unfinished` wrote; None if nothing is there. The oldest files have no ``format``.

    Raises:
        UsageError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return {**state, "format": state.get("format"), "key": state["key"]}
    except (
        *(OSError, RuntimeError, EOFError, KeyError, TypeError, AttributeError),
        pickle.UnpicklingError,
    ) as error:
        raise UsageError(f"{path} can't be read: {error}", "Start over with --fresh.") from error
