"""Paths and numbers as options take them: plain ones, sizes like ``10MB``, durations like ``30s``."""

from __future__ import annotations

import math
import os
import re
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import click

from sidscan.util.object_urls import is_object_url
from sidscan.util.option_specs import OptionSpec
from sidscan.util.urls import mask_credentials

if TYPE_CHECKING:  # older versions of click have no type arguments here
    _IntType: TypeAlias = click.ParamType[int]
    _FloatType: TypeAlias = click.ParamType[float]
    _MomentType: TypeAlias = click.ParamType[datetime]
    _ChoiceType: TypeAlias = click.Choice[str]
    _TextType: TypeAlias = click.ParamType[str]
    _ShardType: TypeAlias = click.ParamType["ShardName"]
else:
    _IntType = _FloatType = _MomentType = _ShardType = _TextType = click.ParamType
    _ChoiceType = click.Choice

_URL = re.compile("[A-Za-z][A-Za-z0-9+.-]+://")
_DIGITS = "[0-9]+(?:_[0-9]+)*"  # 100_000, as Python writes it
_DECIMAL = rf"\+?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})"
_SIZE = re.compile(rf"({_DECIMAL})\s*([A-Za-z]*)")
_DURATION = re.compile(rf"({_DECIMAL}(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]*)")
_DURATION_PARTS = re.compile(r"(?:[0-9]+[A-Za-z]+){2,}")  # 1h30m
_SIZES = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
_UNIT_NAMES = {"b": "bytes", "mib": "MiB"}  # of plain numbers
_BINARY = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
_TIMES = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_LONG_TIMES = (("h", 3600), ("m", 60))


class StdoutFormat(_ChoiceType):
    """A format for standard output. Formats that are not text pass: `output_for` says where they go."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The format's suffix."""
        from sidscan.reports import BINARY_FORMATS

        return value if value in (*BINARY_FORMATS, "xlsx") else str(super().convert(value, param, ctx))


class LocalPath(click.Path):
    """A path on this machine. Of a URL, the file system would make folders, and nothing would be sent."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path.

        Raises:
            click.BadParameter: it is a URL; or a run of shards where a file is expected.
        """
        if not self.dir_okay and (Path(os.fsdecode(value)) / "run.json").is_file():
            report = f"`sidscan collect {value} --out report.csv`"
            self.fail(f"{value} is a run of shards. Name a report of it, which {report} writes.", param, ctx)
        if _URL.match(os.fsdecode(value)):
            self.fail(f"{mask_credentials(value)} is a URL. Name a path on a disk here.", param, ctx)
        return super().convert(value, param, ctx)


class OutputPath(LocalPath):
    """A file or folder that is written.

    The folder of a file must be there; a folder is made by the command, with those above it.

    Args:
        stdout: whether ``-`` may stand for standard output.
    """

    def __init__(self, stdout: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        self._stdout = stdout

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path.

        Raises:
            click.BadParameter: it is ``-``, and may not be, or as for `LocalPath`.
            OutputError: the file has no folder.
        """
        if value == "-" and not self._stdout:
            kind = "folder" if not self.file_okay else "file"
            self.fail(f"this is not written to standard output. Name a {kind}.", param, ctx)
        path = super().convert(value, param, ctx)
        if value != "-" and self.file_okay:
            from sidscan.reports.output_files import check_folder  # here: --help needs none of it

            flags = param.opts if param else ["--out"]
            check_folder(Path(os.fsdecode(value)), next(flag for flag in flags if flag.startswith("--")))
        return path


class RunPlaceType(LocalPath):
    """Where a run of shards lies: a folder, or a prefix of a bucket, as ``s3://BUCKET/RUN``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A path or an `ObjectUrl`.

        Raises:
            click.BadParameter: it is another kind of URL, or names no bucket.
        """
        if not isinstance(value, str) or not is_object_url(value):
            return super().convert(value, param, ctx)
        from sidscan.distributed.place import parse_place  # here: --help needs none of it

        try:
            return parse_place(value)
        except ValueError:
            example = "Write s3://BUCKET/RUN; keys of access come from the environment."
            self.fail(f"{mask_credentials(value)} names no bucket. {example}", param, ctx)


class WholeNumber(click.IntRange):
    """A whole number, refused in plain words: click speaks of a "valid integer range"."""

    name = "integer"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, within the bounds."""
        try:
            number = int(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a whole number. Write, for example, 20 or 1_000_000.", param, ctx)
        return int(super().convert(number, param, ctx))


class ProcessCount(WholeNumber):
    """A number of processes; 0 for ``auto``, as many as suit the machine."""

    name = "processes"

    def __init__(self) -> None:
        super().__init__(1, 1024)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        return 0 if value == "auto" else super().convert(value, param, ctx)


class ShardName(NamedTuple):
    """A shard of a run, as a person names it.

    Attributes:
        plan: the number of the plan that has it; None for the latest one.
        number: which of its shards, from 0.
    """

    plan: int | None
    number: int

    def __str__(self) -> str:
        return str(self.number) if self.plan is None else f"{self.plan}:{self.number}"


class ShardNumber(_ShardType):
    """A shard of a run: ``7``, or ``2:7`` for that of plan 2."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ShardName:
        """The plan and the number."""
        if isinstance(value, ShardName):
            return value
        match = re.fullmatch("(?:([0-9]+):)?([0-9]+)", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a shard. Write a number, or PLAN:N as --plan prints it.", param, ctx)
        return ShardName(int(match[1]) if match[1] else None, int(match[2]))


class Sha256(_TextType):
    """A sha256 as 64 hexadecimal digits."""

    name = "sha256"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The digits."""
        if not re.fullmatch("[0-9a-fA-F]{64}", value):
            self.fail(f"{value} is not a sha256, which has 64 hexadecimal digits.", param, ctx)
        return str(value)


class Number(click.FloatRange):
    """A number, refused in plain words."""

    name = "float"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, within the bounds."""
        try:
            number = float(str(value))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number. Write, for example, 0.05 (5 %).", param, ctx)
        if (self.min, self.max) == (0, 1) and 1 < number <= 100:
            percent = f"Write {number:g} % as {number / 100:g}."
            self.fail(f"{number:g} does not lie between 0 and 1. {percent}", param, ctx)
        return float(super().convert(number, param, ctx))


class Size(_IntType):
    """A number of bytes, as a whole number: ``2048``, ``10MB`` (millions) or ``1GiB`` (powers of 1024).

    Args:
        spec: the bounds, in its own unit.
        unit: bytes that the result, and a plain number, counts.
    """

    name = "size"

    def __init__(self, spec: OptionSpec, unit: int = 1) -> None:
        self._spec, self._unit = spec, unit
        self._plain = {1: "b", 1 << 20: "mib"}[unit]

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; what a larger unit leaves of a fraction is cut off."""
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value).strip())
        unit = match[2].lower() or self._plain if match else ""
        factor = _SIZES.get(unit)
        if match is None or factor is None:
            plain = f"2048 ({_UNIT_NAMES[self._plain]})"
            self.fail(f"{value!r} is not a size. Write, for example, 10MB, 1GiB or {plain}.", param, ctx)
        number = Fraction(match[1].replace("_", ""))
        if unit in ("b", self._plain) and number.denominator != 1:
            self.fail(f"{value!r} is not a whole number of {_UNIT_NAMES[unit]}.", param, ctx)
        size = int(number * factor / self._unit)
        if not self._spec.admits(size):
            self.fail(f"it must be {self._spec.bounds(self.notation)}, not {value}.", param, ctx)
        return size

    def notation(self, size: float) -> str:
        """The size in the largest unit of which it is a whole number, e.g. ``1GiB``."""
        count = int(size) * self._unit
        for name, factor in _BINARY:
            if count and count % factor == 0:
                return f"{count // factor}{name}"
        return f"{count}B"


class Duration(_FloatType):
    """A number of seconds: ``0.5``, ``500ms``, ``30s``, ``2m``, ``1h``, ``1h30m`` or ``1d``."""

    name = "duration"

    def __init__(self, spec: OptionSpec) -> None:
        self._spec = spec

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds."""
        if isinstance(value, (int, float)):
            return value
        seconds = _seconds(str(value).strip())
        if seconds is None:
            self.fail(
                f"{value!r} is not a duration. Write, for example, 30s, 2m, 1h or 0.5 (seconds).", param, ctx
            )
        if not self._spec.admits(seconds):
            self.fail(f"it must be {self._spec.bounds(self.notation)}, not {value}.", param, ctx)
        return seconds

    @staticmethod
    def notation(seconds: float) -> str:
        """The duration in the largest unit of which it is a whole number, e.g. ``2m``."""
        for name, factor in _LONG_TIMES:
            if seconds >= factor and seconds % factor == 0:
                return f"{seconds / factor:g}{name}"
        return f"{seconds:.12g}s"


def _seconds(text: str) -> float | None:
    """The seconds of a duration, one number or several from the largest unit down; None if it is none."""
    if _DURATION_PARTS.fullmatch(text):
        parts = [_seconds(part) for part in re.findall("[0-9]+[A-Za-z]+", text)]
        factors = [_TIMES.get(unit.lower(), 0) for unit in re.findall("[A-Za-z]+", text)]
        if None in parts or factors != sorted(set(factors), reverse=True):
            return None
        return sum(filter(None, parts))
    match = _DURATION.fullmatch(text)
    factor = _TIMES.get(match[2].lower() or "s") if match else None
    return None if match is None or factor is None else float(match[1]) * factor


class Moment(_MomentType):
    """A local time of day, which is the next one, or a date with a time: ``18:00``, ``2026-12-31T18:00``."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The time, with its zone."""
        if isinstance(value, datetime):
            return value
        text, now = str(value).strip(), datetime.now()  # noqa: DTZ005  (local: the user's clock)
        try:
            if re.fullmatch("[0-9]{1,2}:[0-9]{2}", text):
                hour, minute = map(int, text.split(":"))
                moment = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
                return (moment if moment > now else moment + timedelta(days=1)).astimezone()
            moment = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text)).astimezone()
        except (ValueError, OverflowError, OSError):
            self.fail(f"{value!r} is not a time. Write, for example, 18:00 or 2026-12-31T18:00.", param, ctx)
        if moment <= now.astimezone():
            self.fail(f"{text} has passed. Write a time to come.", param, ctx)
        return moment
