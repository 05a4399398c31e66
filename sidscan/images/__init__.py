"""Bytes become pixels and facts: decoding, crops, EXIF, limits."""
