"""Readers are tested with as many of them as a user has."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _one_reader() -> None:
    """One per core: this takes the place of what other tests do."""


@pytest.fixture(autouse=True)
def _one_unpacker() -> None:
    """One per report, as users have it."""
