"""Checks of single options, as they are stated where the option is."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, get_args

from sidscan.config.choices import Crops, CudaMode, Device, Effort, Precision, RuntimeName
from sidscan.errors import UsageError
from sidscan.util.object_urls import parse_object_url
from sidscan.util.option_specs import option_specs

if TYPE_CHECKING:
    from sidscan.config.scan_config import ScanConfig


def check_choices(config: ScanConfig) -> None:
    """Refuse a value that an option with fixed choices does not have.

    Raises:
        UsageError: one has it.
    """
    choices = (
        ("crops", config.crops, Crops),
        ("effort", config.effort, Effort),
        ("runtime", config.runtime, RuntimeName),
        ("device", config.device, Device),
        ("precision", config.precision, Precision),
        ("cuda_mode", config.cuda_mode, CudaMode),
    )
    for name, value, known in choices:
        if value not in get_args(known):
            raise UsageError(f"{name} can't be {value!r}", f"Choose one of {', '.join(get_args(known))}.")


def check_bounds(config: ScanConfig) -> None:
    """Refuse numbers out of range, and what is no number.

    Raises:
        UsageError: an option has such a value.
    """
    types = {each.name: str(each.type) for each in fields(config)}  # annotations, e.g. "int | None"
    for name, spec in option_specs(config).items():
        value = getattr(config, name)
        if spec.minimum is None or value is None:
            continue
        whole = types[name].startswith("int")
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            kind = "whole number" if whole else "number"
            raise UsageError(f"{name} must be a {kind}, not {value!r}", f"Change {spec.flag_of(name)}.")
        if not spec.admits(value):
            bounds = f"{spec.bounds()} {spec.unit}".rstrip() if math.isfinite(value) else "a finite number"
            raise UsageError(f"{name} must be {bounds}, not {value}", f"Change {spec.flag_of(name)}.")


def check_bucket(name: str) -> None:
    """Refuse what is not the URL of a bucket.

    Raises:
        UsageError: it is not.
    """
    try:
        is_bucket = not parse_object_url(name).key
    except (ValueError, TypeError):
        is_bucket = False
    if not is_bucket:
        raise UsageError(
            "--bucket takes the URL of a bucket alone", "Write, for example, --bucket s3://photos."
        )
