"""Parquet: the rows of a CSV report with types, for DuckDB, pandas, Polars, Spark; and folders of them.

https://parquet.apache.org/docs/file-format
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeGuard

from sidscan.libraries import check_installed, require
from sidscan.records import RunRecord, ScanResult
from sidscan.reports.base import FormatOptions, binary_format
from sidscan.reports.columns import ColumnType, ReportColumn, Value, choose_columns
from sidscan.reports.json import ijson_text, printable
from sidscan.reports.reader import PATH_BYTES, DamagedReport
from sidscan.reports.typed_rows import (
    TypedFormat,
    as_text,
    head_line,
    head_text,
    path_bytes,
    plain,
    row_lines,
    wanted,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

FACTS_KEY = b"sidscan.run"
"""Key of the file's metadata under which the facts about the run are, as JSON."""
UNTYPED = "untyped"
"""The column of values that their own column can't hold."""
ROW_GROUP = 100_000  # rows
_BATCH = 2_000  # rows that are made at once
_MAGIC = b"PAR1"
_LONGEST_FOOTER = 1 << 26  # bytes
_MOST_IN_FOOTER = 1 << 20  # entries of a list, e.g. row groups
_BUFFER = 1 << 20  # bytes of the file that are held
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
ARROW_TYPES: dict[ColumnType, str] = {
    "text": "string",
    "integer": "int64",
    "real": "double",
    "boolean": "bool",
    "time": "timestamp[us, tz=UTC]",
    "texts": "list<string>",
    "integers": "list<int64>",
}
"""Arrow's names of the types that columns have."""


@binary_format("parquet")
class ParquetReport(TypedFormat):
    """One file: row groups in the order of the report, Zstandard, a checksum for each page.

    Columns are those of CSV, with `PATH_BYTES` behind ``path`` and `UNTYPED` as the last one. The same
    record gives the same bytes, by the same version of pyarrow.
    """

    extra = "parquet"
    has_columns = True

    def __init__(self, columns: tuple[str, ...] = ()) -> None:
        self._columns = columns

    def configured(self, options: FormatOptions) -> ParquetReport:
        """The format with some columns."""
        _require_pyarrow()
        return ParquetReport(options.columns)

    def write(self, record: RunRecord, path: Path, final: Path) -> None:  # noqa: ARG002
        """Write row group after row group; one of them is in memory."""
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        rows = _Rows(choose_columns(record.header(), self._columns))
        schema = rows.schema.with_metadata({FACTS_KEY: head_text(record)})
        results = record.results()
        with ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
            while batches := list(rows.batches(islice(results, ROW_GROUP))):
                writer.write_table(pa.Table.from_batches(batches, schema), row_group_size=ROW_GROUP)

    def owns(self, head: bytes, file: BinaryIO) -> bool:
        """By the key of its metadata, which its last bytes hold; pyarrow is not needed."""
        return head.startswith(_MAGIC) and FACTS_KEY in _footer(file)

    def check_readable(self) -> None:
        """It takes pyarrow."""
        check_installed("a .parquet report", "pyarrow")

    def unpacked(self, file: BinaryIO, path: Path, columns: Collection[str]) -> Iterator[bytes]:  # noqa: ARG002
        """Batch by batch. All columns are decoded, since each page has a checksum."""
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # others reserve more than they use
        _require_pyarrow()
        size = file.seek(0, os.SEEK_END)
        with _opened(file) as table:
            schema = table.schema_arrow
            sent = wanted(schema.names, columns)
            if len(set(schema.names)) < len(schema.names):
                raise DamagedReport("two columns have the same name")
            yield head_line(schema.names, sent, schema.metadata[FACTS_KEY].decode("utf-8"))
            yield from row_lines(_cells(table, sent), size)


def _require_pyarrow() -> None:
    check_installed("a .parquet report", "pyarrow")
    require("a .parquet report", "pyarrow.parquet")


class _Rows:
    """Makes record batches of results."""

    def __init__(self, columns: Sequence[ReportColumn]) -> None:
        import pyarrow as pa

        self._columns = columns
        self._sources = {column.source for column in columns}
        self._types = {name: _arrow_type(name) for name in ARROW_TYPES}
        fields = [pa.field(printable(column.name), self._types[column.type]) for column in columns]
        paths = [position for position, column in enumerate(columns, 1) if column.name == "path"]
        self._after_path = paths[0] if paths else None
        if self._after_path is not None:
            fields.insert(self._after_path, pa.field(PATH_BYTES, pa.binary()))
        self.schema = pa.schema([*fields, pa.field(UNTYPED, pa.string())])

    def batches(self, results: Iterable[ScanResult]) -> Iterator[pa.RecordBatch]:
        results = iter(results)
        while part := list(islice(results, _BATCH)):
            yield self._batch(part)

    def _batch(self, results: Sequence[ScanResult]) -> pa.RecordBatch:
        import pyarrow as pa

        untyped: list[dict[str, str]] = [{} for _ in results]
        sources = {source: list(map(source, results)) for source in self._sources}
        arrays = [self._array(column, sources[column.source], untyped) for column in self._columns]
        if self._after_path is not None:
            exact = [path_bytes(result.name) for result in results]
            arrays.insert(self._after_path, pa.array(exact, pa.binary()))
        texts = [ijson_text(cells) if cells else None for cells in untyped]
        return pa.record_batch([*arrays, pa.array(texts, pa.string())], schema=self.schema)

    def _array(
        self, column: ReportColumn, sources: Sequence[object], untyped: Sequence[dict[str, str]]
    ) -> pa.Array:
        """The values of a column, from their sources; what its type can't hold goes into ``untyped``."""
        import pyarrow as pa

        values = [None if source is None else column.get(source) for source in sources]
        kind = self._types[column.type]
        if column.type != "time":
            try:  # nearly always, and ten times as fast
                return pa.array([None if value == "" else value for value in values], kind)
            except (pa.ArrowException, ValueError, TypeError, OverflowError):
                pass  # each value is looked at
        fitting: list[object] = []
        for value, cells in zip(values, untyped, strict=True):
            fits = fitted(value, column.type)
            if fits is None and value is not None and value != "":
                cells[printable(column.name)] = as_text(value)
            fitting.append(fits)
        return pa.array(fitting, kind)


def fitted(value: Value, kind: ColumnType) -> object:
    """A value as a column of a type holds it; None if it can't."""
    value = plain(value)
    if kind == "time":
        return moment(value) if isinstance(value, str) else None
    if kind in ("texts", "integers"):
        entry: ColumnType = "text" if kind == "texts" else "integer"
        if not isinstance(value, tuple) or any(fitted(each, entry) is None and each != "" for each in value):
            return None
        return list(value)
    if kind == "integer":
        return value if type(value) is int and -(2**63) <= value < 2**63 else None
    if kind == "real":
        return float(value) if isinstance(value, float) or _is_exact(value) else None
    return value if isinstance(value, bool if kind == "boolean" else str) else None


def _is_exact(value: object) -> TypeGuard[int]:
    """Whether it is an integer that a double holds."""
    return type(value) is int and abs(value) <= 2**53


def moment(text: str) -> datetime | None:
    """A time with an offset from UTC, to the microsecond; None if the text is none."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    offset = "+00:00" if match[3] == "Z" else match[3]
    try:
        stated = datetime.fromisoformat(f"{match[1]}.{(match[2] or '.')[1:].ljust(6, '0')}{offset}")
        return stated.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def _arrow_type(name: ColumnType) -> pa.DataType:
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "integer": pa.int64(),
        "real": pa.float64(),
        "boolean": pa.bool_(),
        "time": pa.timestamp("us", "UTC"),
        "texts": pa.list_(pa.string()),
        "integers": pa.list_(pa.int64()),
    }
    return types[name]


def _footer(file: BinaryIO) -> bytes:
    """The metadata of a Parquet file as it is stored; none if it has no end."""
    size = file.seek(0, 2)
    if size < 12:
        return b""
    file.seek(size - 8)
    end = file.read(8)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != _MAGIC or length > min(size - 12, _LONGEST_FOOTER):
        return b""
    file.seek(size - 8 - length)
    return file.read(length)


@contextmanager
def _opened(file: BinaryIO) -> Iterator[ParquetFile]:
    """The table; errors of pyarrow are damage."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(
            file,
            page_checksum_verification=True,
            pre_buffer=False,
            buffer_size=_BUFFER,
            thrift_string_size_limit=_LONGEST_FOOTER,
            thrift_container_size_limit=_MOST_IN_FOOTER,
        ) as table:
            yield table
    except MemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise DamagedReport("its Parquet can't be read") from error


def _cells(table: ParquetFile, names: list[str]) -> Iterator[Iterable[object]]:
    """The cells of each row in some columns."""
    for batch in table.iter_batches(_BATCH, use_threads=False):
        chosen = batch.select(names)
        yield from zip(*(column.to_pylist() for column in chosen.columns), strict=True)
