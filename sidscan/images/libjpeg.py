"""Some rows of a JPEG, by the very libjpeg-turbo that Pillow decodes with, bound by ctypes.

libjpeg-turbo can pass over rows (``jpeg_skip_scanlines``): their entropy coding is still read, so damage is
noticed wherever it is, but no pixels are made of it. Pillow does not offer that. Another copy of the library
than Pillow's own could give other pixels, so there is no search for one.

libjpeg ends at an error by calling ``error_exit``, which must not return; C programs jump out of it. Python
can't. So each picture is decoded by a thread of its own, which frees what libjpeg held and then parks in
``error_exit`` for ever, while its caller goes on. A parked thread keeps its stack and next to nothing else,
and after `PARKED_MOST` of them a process decodes no rows any more (pictures that are decoded at the same time
may each add one).
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Sequence
from ctypes import byref, c_char_p, c_double, c_int, c_long, c_size_t, c_uint, c_ulong, c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import features

from sidscan.images.limits import can_allocate

MAX_PARKED_THREADS = 4  # threads of a process
MIN_VERSION = (2, 1, 5)  # release of libjpeg-turbo; of older ones nothing was proved, and some skip wrongly
NO_WARNINGS = range(1)  # warnings
_MEMORY_MARGIN = 32 << 20  # bytes; a thread has a stack of 8 MiB
_HEADER_OK = 1  # JPEG_HEADER_OK
_GREYSCALE, _RGB = 1, 2  # JCS_GRAYSCALE, JCS_RGB
# jpeg_decompress_struct (jpeglib.h) on 64-bit systems, by the version of the interface that a library was
# built with; all begin alike. Version 7 was not tried.
_STRUCT_BYTES = {62: 632, 80: 656}
_RESERVED = max(_STRUCT_BYTES.values())


class _DecompressState(ctypes.Structure):
    """jpeg_decompress_struct as far as it is looked at."""

    _fields_ = (
        *((name, c_void_p) for name in ("err", "mem", "progress", "client_data")),
        *((name, c_int) for name in ("is_decompressor", "global_state")),
        ("src", c_void_p),
        *((name, c_uint) for name in ("image_width", "image_height")),
        *((name, c_int) for name in ("num_components", "jpeg_color_space", "out_color_space")),
        *((name, c_uint) for name in ("scale_num", "scale_denom")),
        ("output_gamma", c_double),
        *((name, c_int) for name in ("buffered_image", "raw_data_out", "dct_method", "do_fancy_upsampling")),
        *((name, c_int) for name in ("do_block_smoothing", "quantize_colors", "dither_mode")),
        *((name, c_int) for name in ("two_pass_quantize", "desired_number_of_colors")),
        *((name, c_int) for name in ("enable_1pass_quant", "enable_external_quant", "enable_2pass_quant")),
        *((name, c_uint) for name in ("output_width", "output_height")),
        *((name, c_int) for name in ("out_color_components", "output_components", "rec_outbuf_height")),
        ("actual_number_of_colors", c_int),
        ("colormap", c_void_p),
        ("output_scanline", c_uint),
        ("rest", ctypes.c_byte * (_RESERVED - 172)),
    )


_Callback = ctypes.CFUNCTYPE(None, c_void_p)


class _ErrorManager(ctypes.Structure):
    """jpeg_error_mgr, with room for more."""

    _fields_ = (
        ("error_exit", _Callback),
        ("emit_message", c_void_p),
        ("output_message", _Callback),
        ("format_message", c_void_p),
        ("reset_error_mgr", c_void_p),
        ("msg_code", c_int),
        ("msg_parm", ctypes.c_byte * 80),
        ("trace_level", c_int),
        ("num_warnings", c_long),
        ("rest", ctypes.c_byte * 128),
    )


class LibJpeg:
    """libjpeg-turbo.

    Args:
        handle: what its functions are found by.

    Raises:
        AttributeError: they are not there.
    """

    def __init__(self, handle: ctypes.CDLL) -> None:
        self.version = 80 if hasattr(handle, "jpeg_core_output_dimensions") else 62
        self.std_error = _bind(handle, "jpeg_std_error", c_void_p, c_void_p)
        self.create = _bind(handle, "jpeg_CreateDecompress", None, c_void_p, c_int, c_size_t)
        self.source = _bind(handle, "jpeg_mem_src", None, c_void_p, c_char_p, c_ulong)
        self.header = _bind(handle, "jpeg_read_header", c_int, c_void_p, c_int)
        self.start = _bind(handle, "jpeg_start_decompress", c_int, c_void_p)
        self.skip = _bind(handle, "jpeg_skip_scanlines", c_uint, c_void_p, c_uint)
        self.read = _bind(handle, "jpeg_read_scanlines", c_uint, c_void_p, c_void_p, c_uint)
        self.finish = _bind(handle, "jpeg_finish_decompress", c_int, c_void_p)
        self.destroy = _bind(handle, "jpeg_destroy_decompress", None, c_void_p)
        self.parked = 0
        self.lock = threading.Lock()

    def rows(
        self, data: bytes, shape: tuple[int, int, int], ranges: Sequence[range], warnings: range = NO_WARNINGS
    ) -> list[NDArray[np.uint8]] | None:
        """Rows of a picture as grey or RGB, (rows, width, channels) for each of the ranges.

        Args:
            shape: (height, width, channels) that the picture is known to have.
            ranges: of rows, in order and apart; each begins and ends with a row of MCUs, and the last one
                ends with the picture: jpeg_skip_scanlines would not even go through what follows.
            warnings: how many are expected of libjpeg.

        Returns:
            None where libjpeg meets an error, or other warnings than are expected: something is damaged or
            missing; where memory or threads are short; and where too many threads are parked.
        """
        if self.parked >= MAX_PARKED_THREADS or not ranges or ranges[-1].stop != shape[0] or not _room(shape):
            return None
        task = _DecodeTask(self, data, shape, ranges, warnings)
        try:
            threading.Thread(target=task.run, name="sidscan-libjpeg", daemon=True).start()
        except RuntimeError:  # the system has no thread to give
            return None
        task.over.wait()
        return task.bands if task.good else None


class _DecodeTask:
    """One picture. What it holds are attributes, so that a thread that parks can let go of them."""

    def __init__(
        self,
        library: LibJpeg,
        data: bytes,
        shape: tuple[int, int, int],
        ranges: Sequence[range],
        warnings: range,
    ) -> None:
        self.over = threading.Event()
        self.good = False
        self.bands: list[NDArray[np.uint8]] = []
        self._data, self._shape, self._ranges, self._warnings = data, shape, ranges, warnings
        self._library, self._state, self._errors = library, _DecompressState(), _ErrorManager()

    def run(self) -> None:
        """Decode; it returns unless libjpeg meets an error."""
        _current.task = self
        try:
            self.good = self._decoded()
        except Exception:  # memory is short; whoever called has another way
            self.good = False
        self._library.destroy(byref(self._state))
        self.over.set()

    def park(self) -> None:
        """Free what libjpeg and this hold, and never return; nor run anything when the process ends."""
        self._library.destroy(byref(self._state))
        self._data, self.bands = b"", []
        with self._library.lock:
            self._library.parked += 1
        never = threading.Lock()
        never.acquire()
        self.over.set()
        never.acquire()

    def _decoded(self) -> bool:
        library, state, errors = self._library, self._state, self._errors
        state.err = library.std_error(byref(errors))
        errors.error_exit, errors.output_message = _error_exit, _output_message
        library.create(byref(state), library.version, _STRUCT_BYTES[library.version])
        library.source(byref(state), self._data, len(self._data))
        if library.header(byref(state), 0) != _HEADER_OK:
            return False
        height, width, channels = self._shape
        if (state.image_height, state.image_width, state.num_components) != (height, width, channels):
            return False
        state.out_color_space = _GREYSCALE if channels == 1 else _RGB
        library.start(byref(state))
        if (state.output_height, state.output_width, state.output_components) != (height, width, channels):
            return False
        for rows in self._ranges:
            if rows.start > state.output_scanline:
                library.skip(byref(state), rows.start - state.output_scanline)
            if not self._read(rows) or errors.num_warnings >= self._warnings.stop:
                return False
        library.finish(byref(state))
        return errors.num_warnings in self._warnings

    def _read(self, rows: range) -> bool:
        """One band; False where libjpeg stands elsewhere or stops."""
        _, width, channels = self._shape
        self.bands.append(np.empty((len(rows), width, channels), np.uint8))
        first = self.bands[-1].ctypes.data
        places = (c_void_p * len(rows))(*range(first, first + self.bands[-1].size, width * channels))
        while (done := self._state.output_scanline - rows.start) < len(rows):
            place = byref(places, done * ctypes.sizeof(c_void_p))
            if done < 0 or not self._library.read(byref(self._state), place, len(rows) - done):
                return False
        return True


_current = threading.local()


def _park(_: int | None) -> None:
    _current.task.park()


_error_exit = _Callback(_park)  # both are kept for ever: a parked thread may still stand in one
_output_message = _Callback(lambda _: None)  # else libjpeg would print its first warning


def _room(shape: tuple[int, int, int]) -> bool:
    """Whether there is memory for all coefficients of a picture (progressive ones take that) and its bands.

    Where memory is short, Python could fail to start a thread, or to park it, in ways that can't be undone.
    """
    height, width, channels = shape
    return can_allocate(3 * height * width * channels + _MEMORY_MARGIN)


def pillow_library() -> LibJpeg | None:
    """Pillow's; None where it has another libjpeg, none whose functions can be called, or a doubtful one.

    Functions are looked up in Pillow's module and in the libraries that it names, as the system's linker
    does. On Windows, where libjpeg is a part of Pillow's module, none are found.
    """
    release = features.version_feature("libjpeg_turbo") if features.check_feature("libjpeg_turbo") else None
    if release is None or _version_numbers(release) < MIN_VERSION or struct.calcsize("P") != 8:
        return None
    try:
        module, whole = _pillow_module(), ctypes.CDLL(None)
        preloaded = getattr(whole, "jpeg_std_error", None)  # LD_PRELOAD and the like: Pillow uses that one
        if preloaded is not None and _address(preloaded) != _address(module.jpeg_std_error):
            return None
        return LibJpeg(module)
    except (AttributeError, OSError, TypeError):
        return None


def _pillow_module() -> ctypes.CDLL:
    from PIL import _imaging

    return ctypes.CDLL(_imaging.__file__)


def _bind(handle: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    """A prototype of our own: other users of a library's handle are not disturbed."""
    return ctypes.CFUNCTYPE(result, *arguments)((name, handle))


def _address(function: Any) -> int | None:
    return ctypes.cast(function, c_void_p).value


def _version_numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split(".") if part.isdecimal())
