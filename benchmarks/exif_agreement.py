"""Do the EXIF columns of a report agree with what a second reader finds?

    python benchmarks/exif_agreement.py FOLDER --out FILE
    python benchmarks/exif_agreement.py FOLDER --exiftool PROGRAM --out FILE

Every image below FOLDER is read as a scan reads it, and its EXIF again by Pillow, or by ExifTool where its
PROGRAM is named. Neither shares code with ExifRead. Make, model, original date, orientation and position are
compared: texts up to their first NUL (TIFF 6.0, section 2) and without blanks around them, positions to 1e-6
degrees. The result states, per field, in how many images one of both has it, in how many of these they agree,
and it lists the images in which they differ. Pillow takes an orientation that EXIF does not state from XMP,
and pillow-heif replaces that of HEIC, so ExifTool's word is the better one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from parity import SUFFIXES
from PIL import Image
from record import publish, stamp

from sidscan.images.decode import decode
from sidscan.images.exif import read_exif

_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_GROUPS = ("ExifIFD", "IFD0", "GPS")  # ExifTool's names; the last one that has a tag counts
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


def of_exiftool(program: Path, path: Path) -> Fields:
    """As ExifTool has it, of the directories of the main image: not of its thumbnail or of other pages."""
    tags = (
        *("Make", "Model", "DateTimeOriginal", "Orientation"),
        *("GPSLatitude", "GPSLatitudeRef", "GPSLongitude", "GPSLongitudeRef"),
    )
    command = [str(program), "-j", "-n", "-q", "-G1", "-a", *(f"-EXIF:{tag}" for tag in tags), str(path)]
    output = subprocess.run(command, capture_output=True, check=False).stdout
    stated = json.loads(output or b"[{}]")[0]
    found = {
        tag: stated.get(f"{group}:{tag}") for tag in tags for group in _GROUPS if f"{group}:{tag}" in stated
    }
    orientation = found.get("Orientation")
    return {
        "make": _text(found.get("Make")),
        "model": _text(found.get("Model")),
        "date": _text(found.get("DateTimeOriginal")),
        "orientation": orientation if orientation in range(1, 9) else None,
        "latitude": _degrees([found.get("GPSLatitude")], found.get("GPSLatitudeRef"), 90),
        "longitude": _degrees([found.get("GPSLongitude")], found.get("GPSLongitudeRef"), 180),
    }


def _text(value: object) -> str | None:
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value or "")
    return text.split("\0")[0].strip() or None


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
    parser.add_argument("--exiftool", type=Path, help="the second reader, instead of Pillow")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    second = of_pillow if options.exiftool is None else partial(of_exiftool, options.exiftool)
    result = compare(options.folder, second) | {"second_reader": _name(options.exiftool)}
    publish(stamp("exif_agreement", "PIL", "exifread") | result, options.out)


def _name(exiftool: Path | None) -> str:
    if exiftool is None:
        return "Pillow"
    version = subprocess.run([str(exiftool), "-ver"], capture_output=True, check=True, text=True)
    return f"ExifTool {version.stdout.strip()}"


def compare(folder: Path, second: Callable[[Path], Fields]) -> dict[str, Any]:
    """Both readers on all images below a folder: agreement by field, and every disagreement."""
    warnings.simplefilter("ignore")  # Pillow's, on malformed tags
    counts: dict[str, dict[str, int]] = {}
    differ: list[dict[str, Any]] = []
    read = with_exif = 0
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
        try:
            ours, theirs = of_scan(path), second(path)
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
                entry = {"image": path.name, "field": name, "scan": value, "second": theirs[name]}
                differ.append(entry)
    return {
        "images": read,
        "with_exif": with_exif,
        "fields": counts,
        "disagreements": len(differ),
        "listed": differ[:_LISTED],
    }


if __name__ == "__main__":
    main()
