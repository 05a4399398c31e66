"""Stacks of options that belong together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sidscan.config import MAX_ITEM_SECONDS, MAX_MEMORY_MIB, ReadLimits

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


def stack(*decorators: Decorator) -> Decorator:
    """Several decorators as one, the first outermost."""

    def apply(function: Command) -> Command:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


def inputs() -> Decorator:
    """What is scanned."""
    return stack(
        click.argument("inputs", nargs=-1, metavar="[FOLDER|FILE|URL]..."),
        click.option(
            "--list",
            "lists",
            multiple=True,
            metavar="FILE",
            help="Read paths or URLs from FILE, one per line; '-' is standard input. "
            "Lines that start with # are left out. Repeatable.",
        ),
        click.option(
            "--null",
            is_flag=True,
            help="Names in lists end in a NUL character, as `find -print0` writes them, not with the line.",
        ),
        click.option("--hidden", is_flag=True, help="Look into hidden files and folders too."),
    )


def isolation() -> Decorator:
    """How pictures that hang, grow or kill their reader are kept from the rest."""
    return stack(
        click.option(
            "--item-timeout",
            type=click.FloatRange(min=0.1, max=MAX_ITEM_SECONDS),
            default=30.0,
            show_default=True,
            help="Seconds that reading one picture may take, besides fetching; no limit with --no-isolation.",
        ),
        click.option(
            "--memory-limit",
            type=click.IntRange(min=64, max=MAX_MEMORY_MIB),
            default=2048,
            show_default=True,
            help="MiB that reading one picture may take (on Linux); no limit with --no-isolation.",
        ),
        click.option(
            "--isolation/--no-isolation",
            default=True,
            show_default=True,
            help="Read pictures in processes that may hang or die without harm; or all in one process.",
        ),
    )


def limits() -> Decorator:
    """What a picture may be at most; each limit is told on its header."""
    return stack(
        _at_most("--max-bytes", 1 << 30, "Files, and downloads, of more bytes fail (too_large).", "1 GiB"),
        _at_most("--max-pixels", ReadLimits.max_pixels, "Pictures of more pixels fail (too_many_pixels)."),
        _at_most(
            "--max-side", ReadLimits.max_side, "Pictures with a longer side, in pixels, fail (too_long)."
        ),
        _at_most(
            "--max-ratio",
            ReadLimits.max_ratio,
            "Pictures with one side so many times as long as the other fail (too_narrow).",
        ),
        _at_most(
            "--max-metadata",
            ReadLimits.max_metadata,
            "Where EXIF, XMP, profiles and texts are more bytes, EXIF is not read (metadata_limit).",
            "16 MiB",
        ),
        _at_most(
            "--max-metadata-reads",
            ReadLimits.max_metadata_reads,
            "Steps that reading EXIF may take, however nested; then it is given up (metadata_limit).",
        ),
        click.option(
            "--allow-truncated",
            is_flag=True,
            help="Score what there is of truncated or damaged pictures, and flag them. Else they fail.",
        ),
    )


def _at_most(name: str, default: int, text: str, shown: str | bool = True) -> Decorator:
    return click.option(
        name, type=click.IntRange(min=1), default=default, show_default=shown, metavar="N", help=text
    )


def fetching() -> Decorator:
    """How inputs that are URLs are fetched (docs/urls.md)."""
    return stack(*_limits(), *_pace(), *_permissions())


def _limits() -> tuple[Decorator, ...]:
    seconds = click.FloatRange(min=0, min_open=True)
    return (
        click.option(
            "--timeout",
            type=seconds,
            default=20.0,
            show_default=True,
            metavar="SECONDS",
            help="A URL may take so long to connect, or stall.",
        ),
        click.option(
            "--total-timeout",
            type=seconds,
            default=120.0,
            show_default=True,
            metavar="SECONDS",
            help="A URL may take so long in all, redirects and retries included.",
        ),
        _at_most("--max-download", 256 << 20, "The same for downloads alone.", "256 MiB"),
        click.option(
            "--retries",
            type=click.IntRange(min=0),
            default=2,
            show_default=True,
            help="Ask again so often after a broken connection or HTTP 429, 502, 503, 504.",
        ),
        click.option(
            "--retry-after",
            type=click.FloatRange(min=0),
            default=60.0,
            show_default=True,
            metavar="SECONDS",
            help="Wait at most so long where a server's Retry-After asks for it.",
        ),
    )


def _pace() -> tuple[Decorator, ...]:
    return (
        click.option(
            "--per-host",
            type=click.IntRange(min=1),
            default=2,
            show_default=True,
            help="Requests that a host gets at once.",
        ),
        click.option(
            "--rate",
            type=click.FloatRange(min=0, min_open=True),
            metavar="N",
            help="Requests that a host gets per second. [default: no limit]",
        ),
    )


def _permissions() -> tuple[Decorator, ...]:
    return (
        click.option(
            "--allow-private",
            is_flag=True,
            help="Fetch from private addresses and this machine too, for archives on an intranet.",
        ),
        click.option(
            "--env-proxies",
            is_flag=True,
            help="Use the proxies that http_proxy, https_proxy and no_proxy name; else they are ignored.",
        ),
        click.option(
            "--respect-robots",
            is_flag=True,
            help="Refuse pictures whose X-Robots-Tag says noai, noimageai, noindex, noimageindex or none.",
        ),
        click.option(
            "--save-dir",
            type=click.Path(file_okay=False, path_type=Path),
            metavar="FOLDER",
            help="Keep the bytes of every URL there, named by their sha256.",
        ),
    )


def encoder() -> Decorator:
    """What checkpoints read."""
    return click.option(
        "--encoder",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Weights of the encoder a checkpoint was trained on, where that is not an installed one.",
    )


_PROVIDERS = ("tensorrt", "coreml", "directml")


def _runtime() -> Decorator:
    return click.option(
        "--runtime",
        type=click.Choice(["auto", "pytorch", "onnx"]),
        default="auto",
        show_default=True,
        help="'onnx' runs what `sidscan export-onnx` made of the model; 'auto' does so for a FILE.onnx.",
    )


def model(crops: str | None = "ten", crops_shown: str | bool = True, graphs: bool = True) -> Decorator:
    """What scores the pictures.

    Args:
        crops, crops_shown: default of ``--crops`` as it is and as help shows it.
        graphs: whether exported graphs are taken too.
    """
    return stack(
        *([_runtime()] if graphs else []),
        click.option(
            "--model",
            "models",
            multiple=True,
            metavar="NAME|FILE",
            help="Detector to use, or a checkpoint of `sidscan train`, or a folder of such"
            + (", or an exported graph; " if graphs else "; ")
            + "repeatable: heads on one encoder cost one pass. "
            "[default: rine-4class if installed, else the bundled mini]",
        ),
        encoder(),
        click.option(
            "--crops",
            type=click.Choice(["ten", "center"]),
            default=crops,
            show_default=crops_shown,
            help="Corners, centre and their mirror images, logits averaged; or the centre only.",
        ),
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda", *(_PROVIDERS if graphs else ())]),
            default="auto",
            show_default=True,
            help="'auto' is CUDA where it can be used. A device that was asked for is never replaced."
            + (" The last three run exported graphs only." if graphs else ""),
        ),
        click.option(
            "--precision",
            type=click.Choice(["auto", "fp32", "fp16", "bf16"]),
            default="auto",
            show_default=True,
            help="Of a CLIP encoder; 'auto' is fp16 on CUDA; on a CPU fp32, or bf16 where the CPU has it and "
            "a trial shows that scores stay within 0.01. 'mini' is always fp32.",
        ),
        click.option(
            "--batch",
            type=click.IntRange(min=1),
            help="Views gathered for a pass through the encoder; a picture's stay together. "
            "[default: 40 on a CPU, 160 on CUDA, 40 for exported graphs]",
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            help="Readers, each with a process of its own. [default: one per core]",
        ),
    )


def calibration() -> Decorator:
    """What scores are measured against."""
    return stack(
        click.option(
            "--calibrated",
            is_flag=True,
            help="Threshold and p-value from what `sidscan calibrate` saved for each model.",
        ),
        click.option(
            "--calibration",
            "calibrations",
            multiple=True,
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Threshold and p-value from this file instead, for the model it was made of. Repeatable.",
        ),
    )


def output() -> Decorator:
    """Where the findings go."""
    return stack(
        click.option(
            "--out",
            "outs",
            multiple=True,
            metavar="FILE",
            help="Report to write: .csv, .json or .jsonl; '-' is standard output. Repeatable. [default: -]",
        ),
        click.option(
            "--format",
            "stdout_format",
            type=click.Choice(["csv", "json", "jsonl"]),
            default="csv",
            show_default=True,
            help="Of the report on standard output.",
        ),
        click.option(
            "--journal",
            type=click.Path(dir_okay=False, path_type=Path),
            help="The run's durable record, from which the same command continues. "
            "[default: first --out + .journal]",
        ),
        click.option("--fresh", is_flag=True, help="Forget an earlier run's record and start over."),
        click.option(
            "--overwrite",
            is_flag=True,
            help="Replace a file at --out even if sidscan did not write it. Reports of sidscan always are.",
        ),
        click.option(
            "--hash-file",
            "hashed",
            is_flag=True,
            help="Write the sha256 of each report beside it, e.g. report.csv.sha256, as sha256sum does.",
        ),
        click.option(
            "--private",
            is_flag=True,
            help="Leave host name, command line and current folder out of reports and record, from now on.",
        ),
        click.option("--retry-failed", is_flag=True, help="Read inputs again that failed in an earlier run."),
        click.option(
            "--quiet",
            "-q",
            is_flag=True,
            help="On standard error only errors, and that another model stands in.",
        ),
    )
