"""Inputs become Items. Every file, link or line becomes exactly one Item; nothing is dropped."""

from __future__ import annotations

import os
from collections.abc import Iterator

from sidscan.config import ScanConfig
from sidscan.errors import UsageError
from sidscan.records import Item
from sidscan.sources import lists, names, paths
from sidscan.sources.exclude import Exclusions
from sidscan.sources.output_filter import SKIP_OUTPUT, OutputFilter
from sidscan.sources.vanished import empty_folder_error
from sidscan.util.urls import mask_credentials


def open_sources(config: ScanConfig) -> Iterator[Item]:
    """All inputs of a scan, in a stable order.

    Raises:
        UsageError: an input or a list does not exist, a list is not one, a pattern to exclude means nothing,
            or standard input is to be read twice.
        NothingToScan: a folder holds no file.
    """
    lists.check_stdin_named_once(config.lists)
    outputs, exclusions = OutputFilter(config), Exclusions(config.exclude)
    for name in config.inputs:
        if name == "-":
            raise UsageError("'-' is not an image", "To read names from standard input, use --list -")
        yield from expand_name(name, config, outputs, exclusions, required=True)
    for source in config.lists:
        for line in lists.read_names(source, config.null, config.list_column):
            name = line if config.null else names.name_in_list(line)
            yield from expand_name(name, config, outputs, exclusions, required=False)


def _folder_items(
    name: str, config: ScanConfig, outputs: OutputFilter, exclusions: Exclusions
) -> Iterator[Item]:
    """All files below a folder.

    Raises:
        NothingToScan: there is none, and `ScanConfig.allow_empty` is not set.
    """
    is_empty = True
    for item in paths.walk_folder(name, config.hidden, outputs, exclusions):
        is_empty = False
        yield item
    if is_empty and not config.allow_empty:
        raise empty_folder_error(name)


def expand_name(
    name: str, config: ScanConfig, outputs: OutputFilter, exclusions: Exclusions, *, required: bool
) -> Iterator[Item]:
    """The items that a name stands for: a URL, a file, or all files below a folder.

    Args:
        required: whether a missing file is an error, as on a command line; in a list it is a failed row.
    """
    if lists.is_url(name):
        yield lists.url_item(name)
        return
    name = names.local_path(name)
    if lists.is_unsupported_url(name):
        yield Item(mask_credentials(name), skip="only http and https addresses are fetched")
    elif skip := exclusions.of_name(name, _part_to_exclude(name, required)):
        yield Item(name, skip=skip)
    elif os.path.isdir(name):  # noqa: PTH112  (Path.is_dir raises on names that no file can have)
        yield from _folder_items(name, config, outputs, exclusions)
    elif outputs.is_output(name):
        yield Item(name, skip=SKIP_OUTPUT)
    elif required and not os.path.lexists(name):
        hint = names.hint_for_missing(name).removeprefix(names.NOT_FOUND)
        raise UsageError(
            f"{names.NOT_FOUND}{name}",
            f"{hint[:1].upper()}{hint[1:]}." if hint else "Check the spelling, or quote a name with spaces.",
        )
    else:
        yield paths.file_item(name)


def _part_to_exclude(name: str, required: bool) -> str:
    """What patterns of names are compared with: of an argument its last part, of a listed path all of it.

    Who names /tmp/images does not mean that `--exclude tmp` leaves out everything.
    """
    path = os.path.normpath(name)
    last = os.path.basename(path) if required else path  # noqa: PTH119
    return "" if last in (".", "..") else last
