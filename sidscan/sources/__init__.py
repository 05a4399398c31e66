"""Inputs become Items. Every file, link or line becomes exactly one Item; nothing is dropped."""

from __future__ import annotations

import os
from collections.abc import Iterator

from sidscan.config import ScanConfig
from sidscan.errors import UsageError
from sidscan.records import Item
from sidscan.sources import lists, paths
from sidscan.sources.output_filter import SKIP_OUTPUT, OutputFilter
from sidscan.util.urls import mask_credentials


def open_sources(config: ScanConfig) -> Iterator[Item]:
    """All inputs of a scan, in a stable order.

    Raises:
        UsageError: an input or a list does not exist, or standard input is to be read twice.
    """
    lists.check_stdin_named_once(config.lists)
    outputs = OutputFilter(config)
    for name in config.inputs:
        if name == "-":
            raise UsageError("'-' is not an image", "To read names from standard input, use --list -")
        yield from expand_name(name, config, outputs, required=True)
    for source in config.lists:
        for name in lists.read_names(source, config.null):
            yield from expand_name(name, config, outputs, required=False)


def expand_name(name: str, config: ScanConfig, outputs: OutputFilter, *, required: bool) -> Iterator[Item]:
    """The items that a name stands for: a URL, a file, or all files below a folder.

    Args:
        required: whether a missing file is an error, as on a command line; in a list it is a failed row.
    """
    if lists.is_url(name):
        yield lists.url_item(name)
    elif lists.is_unsupported_url(name):
        yield Item(mask_credentials(name), skip="only http and https addresses are fetched")
    elif os.path.isdir(name):  # noqa: PTH112  (Path.is_dir raises on names that no file can have)
        yield from paths.walk_folder(name, config.hidden, outputs)
    elif outputs.is_output(name):
        yield Item(name, skip=SKIP_OUTPUT)
    elif required and not os.path.lexists(name):
        raise UsageError(
            f"no such file or directory: {name}", "Check the spelling, or quote a name with spaces."
        )
    else:
        yield paths.file_item(name)
