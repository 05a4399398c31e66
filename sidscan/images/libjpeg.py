"""Decode some rows of a JPEG with the libjpeg-turbo that Pillow itself uses, bound by ctypes.

libjpeg-turbo can skip rows (``jpeg_skip_scanlines``): it still reads their entropy coding, so it notices
damage anywhere, but computes no pixels. Pillow does not offer that. Another copy of the library could give
other pixels, so this module uses Pillow's own copy or none.

At an error, libjpeg calls ``error_exit``, which must not return. C programs jump out of it; Python can't. So
each image is decoded by a thread of its own, which at an error frees what libjpeg held and then parks in
``error_exit`` for ever, while its caller goes on. A parked thread keeps its stack and next to nothing else.
After `MAX_PARKED_THREADS` of them a process decodes no rows any more (images that are decoded at the same
time may each add one).
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable, Sequence
from ctypes import byref, c_char_p, c_double, c_int, c_long, c_size_t, c_uint, c_ulong, c_void_p

import numpy as np
from numpy.typing import NDArray
from PIL import features

from sidscan.images.limits import can_allocate

MAX_PARKED_THREADS = 4  # of a process
MIN_VERSION = (2, 1, 5)  # of libjpeg-turbo; older releases were not tested, and some skip wrongly
NO_WARNINGS = range(1)  # how many warnings are expected
_MEMORY_MARGIN = 32 << 20  # bytes; a thread has a stack of 8 MiB
_HEADER_OK = 1  # JPEG_HEADER_OK
_GREYSCALE, _RGB = 1, 2  # JCS_GRAYSCALE, JCS_RGB
# Size of jpeg_decompress_struct (jpeglib.h) on 64-bit systems, by the version of the interface that a library
# was built with. All versions begin alike. Version 7 was not tested.
_STRUCT_BYTES = {62: 632, 80: 656}
_RESERVED = max(_STRUCT_BYTES.values())


class _DecompressState(ctypes.Structure):
    """The start of jpeg_decompress_struct, as far as this module uses it."""

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
_CType = type[c_char_p | c_int | c_size_t | c_uint | c_ulong | c_void_p]


class _ErrorManager(ctypes.Structure):
    """jpeg_error_mgr, with room for what other versions add."""

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


class _SourceManager(ctypes.Structure):
    """The start of jpeg_source_mgr."""

    _fields_ = (("next_input_byte", c_void_p), ("bytes_in_buffer", c_size_t))


class LibJpeg:
    """The functions of a loaded libjpeg-turbo.

    Attributes:
        version: of the interface.
        parked_threads: how many threads met an error and wait for ever.

    Raises:
        AttributeError: the library lacks one of the functions.
    """

    def __init__(self, handle: ctypes.CDLL) -> None:
        self.version = 80 if hasattr(handle, "jpeg_core_output_dimensions") else 62
        self.std_error = _bind(handle, "jpeg_std_error", c_void_p, c_void_p)
        self.create_decompress = _bind(handle, "jpeg_CreateDecompress", None, c_void_p, c_int, c_size_t)
        self.set_memory_source = _bind(handle, "jpeg_mem_src", None, c_void_p, c_char_p, c_ulong)
        self.read_header = _bind(handle, "jpeg_read_header", c_int, c_void_p, c_int)
        self.start_decompress = _bind(handle, "jpeg_start_decompress", c_int, c_void_p)
        self.skip_scanlines = _bind(handle, "jpeg_skip_scanlines", c_uint, c_void_p, c_uint)
        self.read_scanlines = _bind(handle, "jpeg_read_scanlines", c_uint, c_void_p, c_void_p, c_uint)
        self.finish_decompress = _bind(handle, "jpeg_finish_decompress", c_int, c_void_p)
        self.destroy_decompress = _bind(handle, "jpeg_destroy_decompress", None, c_void_p)
        self.parked_threads = 0
        self.lock = threading.Lock()

    def decode_rows(
        self, data: bytes, shape: tuple[int, int, int], ranges: Sequence[range], warnings: range = NO_WARNINGS
    ) -> tuple[list[NDArray[np.uint8]], int] | None:
        """Rows of an image as grey or RGB, (rows, width, channels) for each of the ranges, and where it ends.

        Args:
            shape: (height, width, channels), which the image must have.
            ranges: of rows, in order and disjoint. Each begins and ends with a row of MCUs, and the last one
                ends with the image: jpeg_skip_scanlines would not even read what follows.
            warnings: the expected number of libjpeg's warnings.

        Returns:
            None where libjpeg meets an error or gives other warnings than expected (something is damaged or
            missing), where memory or threads are short, and where too many threads are parked.
        """
        if (
            self.parked_threads >= MAX_PARKED_THREADS
            or not ranges
            or ranges[-1].stop != shape[0]
            or not _has_memory_for(shape)
        ):
            return None
        task = _DecodeTask(self, data, shape, ranges, warnings)
        try:
            threading.Thread(target=task.run, name="sidscan-libjpeg", daemon=True).start()
        except RuntimeError:  # the system has no thread to give
            return None
        task.done.wait()
        return (task.parts, task.end) if task.succeeded else None


class _DecodeTask:
    """The decoding of one image. Its state is in attributes, so that a thread that parks can free them."""

    def __init__(
        self,
        library: LibJpeg,
        data: bytes,
        shape: tuple[int, int, int],
        ranges: Sequence[range],
        warnings: range,
    ) -> None:
        self.done = threading.Event()
        self.succeeded = False
        self.parts: list[NDArray[np.uint8]] = []
        self.end = 0  # behind the image's EOI
        self._data, self._shape, self._ranges, self._warnings = data, shape, ranges, warnings
        self._library, self._state, self._errors = library, _DecompressState(), _ErrorManager()

    def run(self) -> None:
        """Decode the image; this returns unless libjpeg meets an error."""
        _current.task = self
        try:
            self.succeeded = self._decode()
        except Exception:  # memory is short; the caller lets Pillow decode instead
            self.succeeded = False
        self._library.destroy_decompress(byref(self._state))
        self.done.set()

    def park(self) -> None:
        """Free what libjpeg and this task hold, and never return, not even when the process ends."""
        self._library.destroy_decompress(byref(self._state))
        self._data, self.parts = b"", []
        with self._library.lock:
            self._library.parked_threads += 1
        never = threading.Lock()
        never.acquire()
        self.done.set()
        never.acquire()

    def _decode(self) -> bool:
        library, state, errors = self._library, self._state, self._errors
        state.err = library.std_error(byref(errors))
        errors.error_exit, errors.output_message = _error_exit, _output_message
        library.create_decompress(byref(state), library.version, _STRUCT_BYTES[library.version])
        library.set_memory_source(byref(state), self._data, len(self._data))
        if library.read_header(byref(state), 0) != _HEADER_OK:
            return False
        height, width, channels = self._shape
        if (state.image_height, state.image_width, state.num_components) != (height, width, channels):
            return False
        state.out_color_space = _GREYSCALE if channels == 1 else _RGB
        library.start_decompress(byref(state))
        if (state.output_height, state.output_width, state.output_components) != (height, width, channels):
            return False
        for rows in self._ranges:
            if rows.start > state.output_scanline:
                library.skip_scanlines(byref(state), rows.start - state.output_scanline)
            if not self._read_rows(rows) or errors.num_warnings >= self._warnings.stop:
                return False
        library.finish_decompress(byref(state))  # which reads up to EOI
        source = ctypes.cast(c_void_p(state.src), ctypes.POINTER(_SourceManager)).contents
        self.end = len(self._data) - source.bytes_in_buffer
        return errors.num_warnings in self._warnings

    def _read_rows(self, rows: range) -> bool:
        """Read one range; False where libjpeg is at another row or stops."""
        _, width, channels = self._shape
        self.parts.append(np.empty((len(rows), width, channels), np.uint8))
        first = self.parts[-1].ctypes.data
        row_pointers = (c_void_p * len(rows))(*range(first, first + self.parts[-1].size, width * channels))
        while (done := self._state.output_scanline - rows.start) < len(rows):
            target = byref(row_pointers, done * ctypes.sizeof(c_void_p))
            if done < 0 or not self._library.read_scanlines(byref(self._state), target, len(rows) - done):
                return False
        return True


_current = threading.local()


def _park(_: int | None) -> None:
    _current.task.park()


_error_exit = _Callback(_park)  # both live for ever: a parked thread may still be in one
_output_message = _Callback(lambda _: None)  # otherwise libjpeg prints its first warning


def _has_memory_for(shape: tuple[int, int, int]) -> bool:
    """Whether there is memory for all coefficients of an image, as progressive ones need, and for its rows.

    Where memory is short, Python could fail to start or park a thread in ways that can't be undone.
    """
    height, width, channels = shape
    return can_allocate(3 * height * width * channels + _MEMORY_MARGIN)


def pillow_library() -> LibJpeg | None:
    """Pillow's libjpeg-turbo; None where it is another library, too old, or without callable functions.

    Functions are looked up in Pillow's module and in the libraries that it names, as the system's linker
    does. On Windows, where libjpeg is a part of Pillow's module, this finds none.
    """
    release = features.version_feature("libjpeg_turbo") if features.check_feature("libjpeg_turbo") else None
    if release is None or _version_numbers(release) < MIN_VERSION or struct.calcsize("P") != 8:
        return None
    try:
        module, process = _pillow_module(), ctypes.CDLL(None)
        if hasattr(process, "jpeg_std_error"):  # by LD_PRELOAD and the like; Pillow uses that one
            functions = (process.jpeg_std_error, module.jpeg_std_error)
            if len({ctypes.cast(function, c_void_p).value for function in functions}) > 1:
                return None
        return LibJpeg(module)
    except (AttributeError, OSError, TypeError):
        return None


def _pillow_module() -> ctypes.CDLL:
    from PIL import _imaging

    return ctypes.CDLL(_imaging.__file__)


def _bind(handle: ctypes.CDLL, name: str, result: _CType | None, *arguments: _CType) -> Callable[..., int]:
    """A function with a prototype of its own, which other users of the handle do not see."""
    return ctypes.CFUNCTYPE(result, *arguments)((name, handle))


def _version_numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split(".") if part.isdecimal())
