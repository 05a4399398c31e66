"""Lists as people have them: encodings, tables, quotes, addresses of files, and what is not a list."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidscan import ScanConfig, Status, scan
from sidscan.errors import UsageError
from sidscan.reports.csv_escape import escape_cell
from sidscan.sources import open_sources
from sidscan.sources.names import NOT_FOUND


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))


def _listed(content: bytes, name: str = "names.txt", column: str | None = None) -> list[str]:
    Path(name).write_bytes(content)
    return [item.name for item in open_sources(ScanConfig(lists=(name,), list_column=column))]


MARKED = ("utf-8", "utf-8-sig", "utf-16", "utf-16-be with BOM", "utf-32")


@pytest.mark.parametrize(
    ("encoding", "ending"),
    [
        *((encoding, ending) for encoding in MARKED for ending in ("\n", "\r\n", "\r")),
        *((encoding, ending) for encoding in ("utf-16-le", "utf-16-be") for ending in ("\n", "\r\n")),
    ],
)
def test_encodings_and_ends_of_lines(encoding: str, ending: str) -> None:
    text = ending.join(["a.jpg", "# a comment", "", "é ü/b.jpg", "https://example.org/c.jpg", ""])
    if encoding == "utf-16-be with BOM":
        content = ("\ufeff" + text).encode("utf-16-be")
    else:
        content = text.encode(encoding)
    assert _listed(content) == ["a.jpg", "é ü/b.jpg", "https://example.org/c.jpg"]


def test_a_carriage_return_inside_a_name_stays() -> None:
    assert _listed(b"a\rb.jpg\nc.jpg\n") == ["a\rb.jpg", "c.jpg"]


TABLE = "Title,Image Path,n\r\n{},{},1\r\nx,,2\r\ny,/b.jpg,3\r\nshort\r\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("first_line", ["", "sep={}\r\n"], ids=["", "sep="])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_column_of_a_table(delimiter: str, first_line: str, encoding: str) -> None:
    quoted = f'"a{delimiter} ""b""\nc.jpg"'
    text = first_line.format(delimiter) + TABLE.format("t", quoted).replace(",", delimiter)
    text = text.replace(TABLE.format("", "").partition(",")[0], "Title")
    for column in ("Image Path", " image path "):
        listed = _listed(text.encode(encoding), "table.txt", column)
        assert listed == [f'a{delimiter} "b"\nc.jpg', "/b.jpg"]


def test_the_delimiter_is_the_one_that_gives_the_column() -> None:
    assert _listed(b"a;b;path,c,d\n1;2;x,3,4\n", column="c") == ["3"]
    assert _listed(b"path\n/a, b.jpg\n", column="path") == [
        "/a"
    ]  # as CSV has it: a name with a comma is quoted


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        pytest.param(b"a,b\n1,2\n", None, "the list {} is a table with the columns a, b", id="not named"),
        pytest.param(b"a,b\n1,2\n", "c", "the list {} has no column 'c'; its columns are a, b", id="missing"),
        pytest.param(b"a,a\n1,2\n", "a", "the list {} has 2 columns 'a'", id="twice"),
    ],
)
def test_columns_that_are_not_clear_are_refused(content: bytes, column: str | None, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        _listed(content, "table.csv", column)
    assert refused.value.message == message.format("table.csv")
    assert "--list-column NAME" in refused.value.remedy or "its own name" in refused.value.remedy


@pytest.mark.parametrize(
    ("content", "names"),
    [
        pytest.param(b"/a.jpg\n/b.jpg\n", ["/a.jpg", "/b.jpg"], id="no delimiter"),
        pytest.param(b"https://x/a,b.jpg\n", ["https://x/a,b.jpg"], id="a URL with a comma"),
        pytest.param(b"here, there.jpg\n", ["here, there.jpg"], id="a file with a comma"),
    ],
)
def test_a_plain_list_may_be_called_csv(content: bytes, names: list[str]) -> None:
    Path("here, there.jpg").write_bytes(b"x")
    assert _listed(content, "names.csv") == names


def test_a_report_of_sidscan_is_a_list() -> None:
    name = "=a\\x41\x1b.jpg"
    header = "path,status,error_stage,error_class,error_message,score\r\n"
    assert _listed(f"{header}{escape_cell(name)},failed,,,,\r\n".encode(), "r.csv", "path") == [name]


@pytest.mark.parametrize(
    "options", [{"inputs": ("x",)}, {"lists": ("l",), "null": True}], ids=["no list", "null"]
)
def test_a_column_needs_a_table(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="--list-column is for lists that are tables"):
        ScanConfig(list_column="path", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        pytest.param('"a b.jpg"', "a b.jpg", id="double quotes"),
        pytest.param("'a b.jpg'", "a b.jpg", id="single quotes"),
        pytest.param('"a ""b"".jpg"', 'a "b".jpg', id="quotes in quotes"),
        pytest.param("  a b.jpg\t", "a b.jpg", id="blanks around"),
        pytest.param("~/a.jpg", "{home}/a.jpg", id="home"),
        pytest.param('"~/a.jpg"', "{home}/a.jpg", id="home in quotes"),
        pytest.param(" https://example.org/a.jpg ", "https://example.org/a.jpg", id="URL with blanks"),
        pytest.param('"quoted".jpg"', '"quoted".jpg"', id="a file of that name"),
        pytest.param("~here.jpg", "~here.jpg", id="a file that starts with ~"),
        pytest.param(" led by a blank.jpg", " led by a blank.jpg", id="a file that starts with a blank"),
        pytest.param("'", "'", id="one quote"),
        pytest.param("~no-such-user-here/a.jpg", "~no-such-user-here/a.jpg", id="nobody's home"),
        pytest.param("cafe\u0301.jpg", "caf\u00e9.jpg", id="composed otherwise"),
    ],
)
def test_names_as_they_are_meant(line: str, name: str, tmp_path: Path) -> None:
    for existing in ('"quoted".jpg"', "~here.jpg", " led by a blank.jpg", "caf\u00e9.jpg"):
        Path(existing).write_bytes(b"x")
    assert _listed(f"{line}\n".encode()) == [name.format(home=tmp_path)]


@pytest.mark.parametrize("start", ["file://", "file://localhost", "file:", "FILE://"])
def test_file_addresses_are_paths(start: str) -> None:
    Path("a #1 é.jpg").write_bytes(b"x")
    path = Path("a #1 é.jpg").absolute()
    address = start + path.as_posix().replace(" ", "%20").replace("é", "%C3%A9").replace("#", "%23")
    assert _listed(f"{address}\n".encode()) == [str(path)]
    assert [item.name for item in open_sources(ScanConfig(inputs=(address,)))] == [str(path)]


def test_a_file_address_of_another_machine_is_skipped() -> None:
    (item,) = open_sources(ScanConfig(inputs=("file://server/a.jpg",)))
    assert item.skip == "only http, https, s3, gs and az addresses are read"


HINTS = [
    pytest.param(
        "www.example.org/y.jpg",
        "if it is a web address, https:// is missing: write https://www.example.org/y.jpg",
        id="www",
    ),
    pytest.param(
        "//images.example.org:8080/y.jpg",
        "if it is a web address, https:// is missing: write https://images.example.org:8080/y.jpg",
        id="without a scheme",
    ),
    pytest.param(
        "C:\\images\\y.jpg",
        "it is a path of Windows; name the folder under which this system has the files",
        id="Windows",
        marks=pytest.mark.skipif(os.name == "nt", reason="there it is a path"),
    ),
    pytest.param(
        os.fsdecode(b"/caf\xe9.jpg"),
        "the name is not UTF-8; if the list was saved in another encoding, save it as UTF-8",
        id="Latin-1",
    ),
    pytest.param("images/y.jpg", "", id="a path"),
    pytest.param("a.b/", "", id="a folder"),
]


@pytest.mark.parametrize(("name", "hint"), HINTS)
def test_a_name_that_leads_nowhere(name: str, hint: str) -> None:
    Path("names.txt").write_bytes(os.fsencode(name) + b"\n")
    (item,) = open_sources(ScanConfig(lists=("names.txt",)))
    assert item.skip == (NOT_FOUND + hint if hint else "")
    with pytest.raises(UsageError) as refused:
        list(open_sources(ScanConfig(inputs=(name,))))
    assert refused.value.message == f"no such file or directory: {name}"
    expected = f"{hint[0].upper()}{hint[1:]}." if hint else "Check the spelling, or quote a name with spaces."
    assert refused.value.remedy == expected


def test_names_that_lead_nowhere_are_failed_rows() -> None:
    Path("names.txt").write_bytes(b"www.example.org/y.jpg\na\0b.jpg\n")
    results = list(scan(ScanConfig(lists=("names.txt",), models=("mini",), isolation=False)))
    assert [(result.status, result.stage and result.stage.value, result.error) for result in results] == [
        (Status.FAILED, "list", "FileNotFoundError"),
        (Status.FAILED, "read", "ValueError"),
    ]
    assert results[1].message == "the name holds a NUL character, which no file's name can"


@pytest.mark.parametrize(
    ("head", "message"),
    [
        pytest.param(
            b"PK\x03\x04\x14\0\n", "the list is a ZIP archive, perhaps a spreadsheet, and not text", id="xlsx"
        ),
        pytest.param(
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\n",
            "the list is a Microsoft Office document, perhaps a spreadsheet, and not text",
            id="xls",
        ),
        pytest.param(b"%PDF-1.7\n", "the list is a PDF document", id="PDF"),
        pytest.param(b"<?xml version='1.0'?>\n", "the list is an XML or HTML document", id="XML"),
        pytest.param(
            b"\xff\xfea\0\n\0\0\xd8a\0",
            "the list names.txt can't be read as UTF-16",
            id="half UTF-16",
        ),
    ],
)
def test_what_is_not_a_list_is_refused(head: bytes, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        _listed(head)
    assert refused.value.message.startswith(message)
    if "spreadsheet" in message:
        assert refused.value.remedy == "Save the sheet as CSV, and name its column with --list-column NAME."


def test_a_table_of_your_own_with_path_and_status_is_read_as_it_is() -> None:
    assert _listed(b"path,status\n'D/a.jpg,new\n", "mine.csv", "path") == ["'D/a.jpg"]
