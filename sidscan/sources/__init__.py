"""Inputs become Items. Every file, link or line becomes exactly one Item; nothing is dropped."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from sidscan.config import ScanConfig
from sidscan.errors import UsageError
from sidscan.records import Item
from sidscan.sources import inventory, lists, names, objects, paths
from sidscan.sources.exclude import Exclusions
from sidscan.sources.members import Archives, ListEntries
from sidscan.sources.objects import ListObjects
from sidscan.sources.output_filter import SKIP_OUTPUT, OutputFilter
from sidscan.sources.vanished import empty_folder_error
from sidscan.util.member_names import find_archive
from sidscan.util.object_urls import is_object_url
from sidscan.util.urls import mask_credentials


def open_sources(
    config: ScanConfig,
    list_entries: ListEntries | None = None,
    list_objects: ListObjects | None = None,
    tables: Tables | None = None,
) -> Iterator[Item]:
    """All inputs of a scan, in a stable order.

    Args:
        list_entries: lists the archives among them; None leaves each archive one input.
        list_objects: lists what is in object stores; None leaves each name one input.
        tables: reads lists that are Parquet files; None leaves them out.

    Raises:
        UsageError: an input or a list does not exist, a list is not one, a pattern to exclude means nothing,
            or standard input is to be read twice.
        NothingToScan: a folder holds no file.
    """
    lists.check_stdin_named_once(config.lists)
    find = Finder(config, list_entries, list_objects)
    for name in config.inputs:
        if name == "-":
            raise UsageError("'-' is not an image", "To read names from standard input, use --list -")
        yield from find.items(name, required=True)
    for source in config.lists:
        if lists.is_parquet(source):
            yield from find.parquet_items(source, tables)
            continue
        if manifest := inventory.read_manifest(source):
            read_rows = tables.read_rows if tables else None
            yield from find.inventory_items(inventory.read_inventory(source, manifest, read_rows))
            continue
        for line in lists.read_names(source, config.null, config.list_column):
            name = line if config.null else names.name_in_list(line)
            yield from find.items(name, required=False)


class Tables(Protocol):
    """Reads columns of Parquet files (`isolation.archives.ArchiveReader`)."""

    def column_names(self, path: str) -> list[str]:
        """The names of the columns."""

    def find_column(self, path: str, name: str) -> tuple[str, bool]:
        """The exact name of a column, and whether it holds bytes and not text."""

    def read_rows(self, path: str, columns: Sequence[str]) -> Iterator[list[str]]:
        """The cells of some columns as texts, row by row."""

    def read_texts(self, path: str, column: str) -> Iterator[str]:
        """The texts of a column."""


class Finder:
    """Finds what a name stands for.

    Args:
        list_entries, list_objects: as for `open_sources`.
    """

    def __init__(
        self, config: ScanConfig, list_entries: ListEntries | None, list_objects: ListObjects | None = None
    ) -> None:
        self._config, self._outputs = config, OutputFilter(config)
        self._exclusions = Exclusions(config.exclude)
        looks_inside = list_entries if config.archives else None
        self._archives = Archives(looks_inside, config.hidden, self._exclusions)
        self._cells = Archives(list_entries, True, self._exclusions)  # somebody named the column
        self._objects = objects.Objects(config, list_objects, self._exclusions)

    def items(self, name: str, *, required: bool) -> Iterator[Item]:
        """A URL, an object, a file, a member of an archive, or all that a folder, bucket or archive holds.

        Args:
            required: whether a missing file is an error, as on a command line; in a list it is a failed row.
        """
        if lists.is_url(name):
            yield lists.url_item(name)
            return
        if is_object_url(name):
            yield from self._objects.items(name, required)
            return
        name = names.local_path(name)
        if lists.is_unsupported_url(name):
            yield Item(mask_credentials(name), skip="only http, https, s3, gs and az addresses are read")
        elif skip := self._exclusions.of_name(name, _part_to_exclude(name, required)):
            yield Item(name, skip=skip)
        elif os.path.isdir(name):  # noqa: PTH112  (Path.is_dir raises on names that no file can have)
            yield from self._folder_items(name)
        elif self._outputs.is_output(name):
            yield Item(name, skip=SKIP_OUTPUT)
        elif member := find_archive(name):
            yield paths.member_item(name, member[0])
        elif required and not os.path.lexists(name):
            hint = names.hint_for_missing(name).removeprefix(names.NOT_FOUND)
            raise UsageError(
                f"{names.NOT_FOUND}{name}",
                f"{hint[:1].upper()}{hint[1:]}."
                if hint
                else "Check the spelling, or quote a name with spaces.",
            )
        else:
            yield from paths.file_items(name, self._archives)

    def parquet_items(self, source: str, tables: Tables | None) -> Iterator[Item]:
        """What the cells of a column name, or hold.

        Raises:
            UsageError: there is no such column.
        """
        if tables is None:
            return
        name = self._config.list_column
        if name is None:
            raise lists.no_column_named(source, tables.column_names(source))
        column, is_bytes = tables.find_column(source, name)
        if is_bytes:
            yield from paths.cell_items(source, self._cells, column)
            return
        for text in tables.read_texts(source, column):
            yield from self.items(names.name_in_list(text), required=False)

    def inventory_items(self, rows: Iterable[inventory.InventoryRow]) -> Iterator[Item]:
        """The objects of an inventory.

        Raises:
            UsageError: it can't be read, or no further.
        """
        return self._objects.inventory_items(rows)

    def _folder_items(self, name: str) -> Iterator[Item]:
        """All files below a folder.

        Raises:
            NothingToScan: there is none, and `ScanConfig.allow_empty` is not set.
        """
        is_empty = True
        walk = paths.walk_folder(name, self._config.hidden, self._outputs, self._exclusions, self._archives)
        for item in walk:
            is_empty = False
            yield item
        if is_empty and not self._config.allow_empty:
            raise empty_folder_error(name)


def _part_to_exclude(name: str, required: bool) -> str:
    """What patterns of names are compared with: of an argument its last part, of a listed path all of it.

    Who names /tmp/images does not mean that `--exclude tmp` leaves out everything.
    """
    path = os.path.normpath(name)
    last = os.path.basename(path) if required else path  # noqa: PTH119
    return "" if last in (".", "..") else last
