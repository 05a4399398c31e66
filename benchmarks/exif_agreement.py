"""Do the EXIF columns of a report agree with what a second reader finds?

    python benchmarks/exif_agreement.py FOLDER --out FILE

Every image below FOLDER is read as a scan reads it, and its EXIF again by Pillow, which shares no code with
ExifRead. Make, model, original date, orientation and position are compared: texts without spaces and zeros
around them, positions to 1e-6 degrees. The result states, per field, in how many images both have it and
agree, and lists the images in which they differ. Where EXIF states no orientation, Pillow takes it from XMP;
a scan does not.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

from parity import SUFFIXES
from PIL import Image
from record import publish, stamp

from sidscan.images.decode import decode
from sidscan.images.exif import read_exif

_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_LISTED = 50  # disagreements in the result, at most
Fields = dict[str, str | int | float | None]


def of_scan(path: Path) -> Fields:
    """As a report has it."""
    data = path.read_bytes()
    exif, _ = read_exif(decode(data), data)
    return {
        "make": exif.make,
        "model": exif.model,
        "date": exif.original_date,
        "orientation": exif.orientation,
        "latitude": exif.latitude,
        "longitude": exif.longitude,
    }


def of_pillow(path: Path) -> Fields:
    """As Pillow has it."""
    with Image.open(path) as image:
        exif = image.getexif()
        gps = exif.get_ifd(_GPS_IFD)
        orientation = exif.get(0x0112)
        return {
            "make": _text(exif.get(0x010F)),
            "model": _text(exif.get(0x0110)),
            "date": _text(exif.get_ifd(_EXIF_IFD).get(0x9003)),
            "orientation": orientation if orientation in range(1, 9) else None,
            "latitude": _degrees(gps.get(2), gps.get(1), 90),
            "longitude": _degrees(gps.get(4), gps.get(3), 180),
        }


def _text(value: object) -> str | None:
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0") or None


def _degrees(parts: Any, ref: object, limit: int) -> float | None:
    try:
        degrees = sum(float(part) / unit for part, unit in zip(parts, (1, 60, 3600), strict=False))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    hemisphere = (_text(ref) or "").upper()[:1]
    if hemisphere not in ("N", "S", "E", "W") or not abs(degrees) <= limit:
        return None
    return -degrees if hemisphere in "SW" else degrees


def agrees(left: str | int | float | None, right: str | int | float | None) -> bool:
    """Whether both readers say the same."""
    if isinstance(left, float) and isinstance(right, float):
        return abs(left - right) <= 1e-6
    return left == right


def main() -> None:
    """Compare, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # Pillow's, on malformed tags
    counts: dict[str, dict[str, int]] = {}
    differ: list[dict[str, Any]] = []
    read = with_exif = 0
    for path in sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in SUFFIXES):
        try:
            ours, theirs = of_scan(path), of_pillow(path)
        except Exception:  # images that can't be read are another benchmark's question
            continue
        read += 1
        with_exif += any(value is not None for value in (*ours.values(), *theirs.values()))
        for name, value in ours.items():
            count = counts.setdefault(name, {"stated": 0, "agree": 0})
            if value is None and theirs[name] is None:
                continue
            count["stated"] += 1
            count["agree"] += agrees(value, theirs[name])
            if not agrees(value, theirs[name]):
                entry = {"image": path.name, "field": name, "scan": value, "pillow": theirs[name]}
                differ.append(entry)
    result = stamp("exif_agreement", "PIL", "exifread") | {
        "images": read,
        "with_exif": with_exif,
        "fields": counts,
        "disagreements": len(differ),
        "listed": differ[:_LISTED],
    }
    publish(result, options.out)


if __name__ == "__main__":
    main()
