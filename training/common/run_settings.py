"""What the scores in a folder depend on, written beside them: no run mixes scores of different settings.

Beside these stands what figures of the scores were computed with, which is never compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sidscan.errors import OutputError

from .files import write_json

_SETTINGS_FILE = "evaluation.json"


def check_settings(folder: Path, settings: Mapping[str, str], started: bool) -> None:
    """Save an evaluation's settings in its folder; scores that it holds must have been made with them.

    Args:
        started: whether it holds scores.

    Raises:
        OutputError: they were made with others, or the settings can't be written.
    """
    try:
        saved = read_settings(folder) if started else settings
    except OSError as error:
        raise OutputError(f"can't use {folder}: {error.strerror}", "Choose another --out.") from error
    differences = [
        f"{name}: {saved.get(name)}, now {value}"
        for name, value in settings.items()
        if saved.get(name) != value
    ]
    if differences:
        raise OutputError(
            f"{folder} holds an evaluation with other settings ({'; '.join(differences)})",
            "Choose another --out, or start over with --fresh.",
        )
    write_json(folder / _SETTINGS_FILE, settings)


def note_settings(folder: Path, noted: Mapping[str, object]) -> None:
    """Add to the settings of a folder what its scores do not depend on.

    Raises:
        OutputError: they can't be written.
    """
    try:
        settings = {**read_settings(folder), **noted}
    except OSError as error:
        raise OutputError(f"can't use {folder}: {error.strerror}", "Choose another --out.") from error
    write_json(folder / _SETTINGS_FILE, settings)


def read_settings(folder: Path) -> dict[str, object]:
    """What `check_settings` and `note_settings` wrote there; empty if that is not there, or damaged.

    Raises:
        OSError: it can't be read.
    """
    try:
        settings = json.loads((folder / _SETTINGS_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}
