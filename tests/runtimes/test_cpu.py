"""The process keeps freed memory for reuse."""

from __future__ import annotations

import ctypes
import platform

import pytest

from sidscan.runtimes.cpu import keep_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_glibc_accepts_every_setting() -> None:
    assert keep_memory()


def test_another_c_library_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_mallopt(_: object) -> object:
        return object()

    monkeypatch.setattr(ctypes, "CDLL", without_mallopt)
    assert not keep_memory()
