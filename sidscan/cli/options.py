"""Options that belong together, made from the fields of `sidscan.config`.

Default, bounds, choices, help text and section are those that the field states; what only a command line
knows (reports, verbosity) is stated here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import click

from sidscan.cli.help_sections import Option
from sidscan.cli.param_types import Duration, LocalPath, Moment, Number, OutputPath, Size, WholeNumber
from sidscan.config import FetchOptions, ReadLimits, ScanConfig
from sidscan.util.option_specs import OptionSpec, option_specs

Callback = Callable[..., Any]
Decorator = Callable[[Callback], Callback]

_MODEL_WITHOUT_GRAPHS = "Detector: name, checkpoint, or folder of checkpoints. Repeatable."
DEVICES_OF_TORCH: Mapping[str, Any] = {
    "type": click.Choice(("auto", "cpu", "cuda")),
    "help": "'auto' is CUDA where it works, else the CPU. A device that you name is never replaced.",
}
"""How ``--device`` differs in commands that take no exported graphs."""


def stack(*decorators: Decorator) -> Decorator:
    """Several decorators as one, the first outermost."""

    def apply(function: Callback) -> Callback:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


def sectioned_option(*names: str, section: str, **settings: Any) -> Decorator:
    """`click.option` with a section of --help."""
    return click.option(*names, cls=Option, section=section, **settings)


def setting(name: str, **changes: Any) -> Decorator:
    """The option of a field of `ScanConfig`.

    Args:
        changes: what a command has otherwise, as `click.option` takes it.
    """
    spec, kind = option_specs(ScanConfig)[name], _types()[name]
    default = ScanConfig.__dataclass_fields__[name].default
    settings = {
        "section": spec.section,
        "help": spec.help,
        "metavar": spec.metavar or None,
        "default": default,
        "show_default": spec.default_text or default not in (None, False, ()),
        **_parameter(spec, kind),
        **changes,
    }
    flags = f"{spec.flag_of(name)}/--no-{name}" if default is True else spec.flag_of(name)
    return sectioned_option(flags, name, **settings)


@cache
def _types() -> dict[str, object]:
    """The type of every field of `ScanConfig`, without its None."""
    types = get_type_hints(ScanConfig)
    return {
        name: get_args(kind)[0] if get_origin(kind) in (Union, UnionType) else kind
        for name, kind in types.items()
    }


def _parameter(spec: OptionSpec, kind: object) -> dict[str, Any]:
    """What click should know of a field of this type."""
    if kind is bool:
        return {"is_flag": True}
    if get_origin(kind) is tuple:
        return {**_parameter(spec, get_args(kind)[0]), "multiple": True, "show_default": spec.default_text}
    if get_origin(kind) is Literal:
        return {"type": click.Choice(get_args(kind))}
    if kind is Path:
        is_folder = spec.path_kind == "folder"
        of_paths = OutputPath if spec.path_kind == "output file" else LocalPath
        path = of_paths(
            exists=spec.path_kind == "existing file",
            file_okay=not is_folder,
            dir_okay=is_folder,
            path_type=Path,
        )
        return {"type": path, "metavar": "FOLDER" if is_folder else "FILE"}
    if spec.unit in ("bytes", "MiB"):
        return {"type": Size(spec, 1 if spec.unit == "bytes" else 1 << 20), "metavar": "SIZE"}
    if spec.unit == "seconds":
        return {"type": Duration(spec), "metavar": "TIME"}
    if kind is datetime:
        return {"type": Moment(), "metavar": "TIME"}
    if kind is int:
        low, high = (None if bound is None else int(bound) for bound in (spec.minimum, spec.maximum))
        return {"type": WholeNumber(low, high, min_open=spec.above)}
    if kind is float:
        return {"type": Number(spec.minimum, spec.maximum, min_open=spec.above)}
    return {"type": kind}


def inputs() -> Decorator:
    """What is scanned."""
    return stack(
        click.argument("inputs", nargs=-1, metavar="[FOLDER|FILE|URL]..."),
        *map(
            setting,
            ("lists", "list_column", "buckets", "null", "archives", "max_members", "hidden", "allow_empty"),
        ),
        setting("exclude", multiple=True),
    )


def part() -> Decorator:
    """How much of the inputs is looked at."""
    return stack(*map(setting, ("sample", "sample_seed", "budget", "until")))


def isolation() -> Decorator:
    """How images that hang, grow or kill their reader are kept from the rest."""
    return stack(*map(setting, ("item_timeout", "memory_limit", "isolation")))


def limits() -> Decorator:
    """How large an image may be; its header alone says whether it is too large."""
    elsewhere = ("crops", "thumbnails", "find_copies", "pixels", "views")
    return stack(*(setting(name) for name in option_specs(ReadLimits) if name not in elsewhere))


def fetching() -> Decorator:
    """How inputs that are URLs are fetched (docs/reference/urls.md)."""
    return stack(*map(setting, option_specs(FetchOptions)))


def encoder() -> Decorator:
    """What checkpoints were trained on."""
    return setting("encoder")


def model(
    crops: str | None = "ten", crops_shown: str | bool = True, graphs: bool = True, effort: bool = True
) -> Decorator:
    """What scores the images.

    Args:
        crops, crops_shown: default of ``--crops`` as it is and as help shows it.
        graphs: whether exported graphs are taken too.
        effort: whether a cascade may choose the crops; published protocols name them.
    """
    return stack(
        setting("models", **({} if graphs else {"help": _MODEL_WITHOUT_GRAPHS})),
        setting("crops", default=crops, show_default=crops_shown),
        *([setting("effort")] if effort else []),
        encoder(),
        *([setting("runtime")] if graphs else []),
        setting("device", **({} if graphs else DEVICES_OF_TORCH)),
        setting("precision"),
        *([setting("cuda_mode")] if graphs else []),
        *map(setting, ("batch", "workers")),
    )


def calibration() -> Decorator:
    """What scores are compared with."""
    return stack(*map(setting, ("calibrated", "calibrations")))


def quiet(help: str = "Print only errors on standard error.") -> Decorator:  # noqa: A002
    """Whether anything but errors is printed; ``-q`` is its short name in every command."""
    return sectioned_option("--quiet", section="Output", is_flag=True, help=help)


def output() -> Decorator:
    """Where the results of a scan go, besides reports (`report_options`)."""
    return stack(
        *map(setting, ("find_copies", "look_closer", "windows", "journal", "fresh", "retry_failed")),
        *map(setting, ("keep_old", "private")),
        quiet("Print only errors on standard error, and a warning where another model is used."),
    )
