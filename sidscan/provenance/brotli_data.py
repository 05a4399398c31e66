"""Metadata packed with Brotli (RFC 7932): boxes of JPEG XL, and compressed manifests of C2PA."""

from __future__ import annotations

from sidscan.provenance.blocks import Budget

_NO_LIBRARY = "compressed with Brotli; `pip install brotli` brings what reads it"


class BrotliError(ValueError):
    """Data that can't be unpacked, or nothing here unpacks them."""


def unpack(packed: bytes, budget: Budget) -> bytes:
    """The data, as far as the budget goes.

    Raises:
        BrotliError: they are damaged, or the package Brotli is missing or older than 1.2.
        MetadataLimit: they are more than the budget allows.
    """
    try:
        import brotli  # here: it comes with an extra, and few files need it
    except ImportError as error:
        raise BrotliError(_NO_LIBRARY) from error
    unpacking, parts, packed_left = brotli.Decompressor(), list[bytes](), packed
    try:
        while not unpacking.is_finished():
            part = unpacking.process(packed_left, output_buffer_limit=budget.left + 1)
            if not part and not packed_left:
                raise BrotliError("damaged Brotli data")
            budget.take(len(part))
            parts.append(part)
            packed_left = b""
    except brotli.error as error:
        raise BrotliError("damaged Brotli data") from error
    except TypeError as error:  # before 1.2 it took no limit, and 1 kB could fill the memory
        raise BrotliError(_NO_LIBRARY) from error
    return b"".join(parts)
