"""--private and `sidscan redact` let through what is listed here, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sample_results import FACTS, SCORED, full_header, journal_of, rendered, results_of_every_status

from sidscan.errors import UsageError
from sidscan.records import (
    Copies,
    CopyAnswer,
    Decision,
    Exif,
    ImageInfo,
    Kind,
    Mark,
    Marker,
    ModelRecord,
    Provenance,
    Response,
    RunHeader,
    SampleRecord,
    ScanResult,
    Score,
    SessionRecord,
    SignatureCheck,
    Status,
    Trace,
)
from sidscan.records.localization import Localization, LocalizerRecord
from sidscan.reports.base import REPORT_FORMATS, ReportFormat
from sidscan.reports.columns import report_columns
from sidscan.reports.private import (
    FIELD_POLICIES,
    FLAG,
    KEPT_TAGS,
    URL_COLUMNS,
    WITHHELD_COLUMNS,
    private_condition,
    private_header,
    private_result,
)
from sidscan.verify import open_report

# A new field must be decided on: add it to `FIELD_POLICIES`, here, and to docs/howto/private-reports.md.
STAYS = {
    *("ScanResult.name", "ScanResult.scanned_at", "ScanResult.error", "ScanResult.message"),
    *("ScanResult.decoder", "ScanResult.sidscan_version", "Mark.mark", "Mark.at"),
    *("Decision.mark", "Decision.at", "Decision.copy_of"),
    *("Copies.same_as", "Copies.group", "Copies.transform"),
    *("CopyAnswer.path", "CopyAnswer.sha256", "CopyAnswer.at"),
    *("ImageInfo.sha256", "ImageInfo.format", "ImageInfo.flags", "ImageInfo.modified_at"),
    "ImageInfo.perceptual_hash",
    *("Provenance.verdict", "Provenance.strength", "Provenance.checked"),
    *("SignatureCheck.state", "SignatureCheck.signed_at", "SignatureCheck.codes"),
    *("Trace.id", "Trace.detail", "Trace.container"),
    *("Marker.id", "Marker.verdict", "Marker.strength", "Marker.container"),
    *(
        "Exif.make",
        "Exif.model",
        "Exif.lens",
        "Exif.original_date",
        "Exif.original_date_iso",
        "Exif.software",
    ),
    *("Localization.localizer", "Localization.digest", "Localization.protocol", "Localization.region"),
    *("Localization.made_by", "Localization.message", "Localization.flags"),
    *("Response.final_url", "Response.redirects", "Response.fetched_at", "Response.saved_as"),
    *(
        f"Score.{name}"
        for name in (
            *("model", "digest", "evidence", "inconclusive", "highest_crop", "cautions", "crop_scores"),
            "model_input",
        )
    ),
    *(
        f"RunHeader.{field.name}"
        for field in fields(RunHeader)
        if field.name not in ("sessions", "private", "sample", "listing_complete")
    ),
    *("SessionRecord.started", "SessionRecord.ended", "SessionRecord.ending", "SessionRecord.platform"),
    *("SessionRecord.sidscan_version", "SessionRecord.python", "SessionRecord.libraries"),
    *("SessionRecord.limits", "SessionRecord.resources"),
    *(f"headers.{name}" for name in ("content-type", "content-length", "last-modified", "date")),
    *("headers.content-encoding",),
    *(f"tags.{name}" for name in ("Image Make", "Image Model", "Image Software", "EXIF LensModel")),
}
PERSONAL_TAGS = (
    *("Image Artist", "Image Copyright", "Image ImageDescription", "Image HostComputer", "Image XPAuthor"),
    *(
        "Image XPComment",
        "Image XPKeywords",
        "Image DocumentName",
        "EXIF UserComment",
        "EXIF CameraOwnerName",
    ),
    *("EXIF BodySerialNumber", "EXIF LensSerialNumber", "EXIF ImageUniqueID", "EXIF MakerNote"),
    *("EXIF OffsetTime", "EXIF OffsetTimeOriginal", "MakerNote SerialNumber", "MakerNote OwnerName"),
    *("GPS GPSLatitude", "GPS GPSAreaInformation", "Thumbnail Make", "Image Tag 0xC62F", "EXIF ExposureTime"),
    *("EXIF DateTimeOriginal", "Image Padding"),
)
HEADERS = (
    *("content-type", "content-length", "content-encoding", "last-modified", "date"),
    *("etag", "server", "x-robots-tag", "retry-after"),
)


def marked(where: str) -> str:
    """A text that tells in which field it was."""
    return f"<{where}>"


def filled(record: type, **given: Any) -> Any:
    """A record all of whose fields hold marks or numbers, as their types have it."""
    values: dict[str, Any] = {}
    for field in fields(record):
        mark = marked(f"{record.__name__}.{field.name}")
        kind = str(field.type)
        values[field.name] = (
            given[field.name]
            if field.name in given
            else (mark,)
            if kind.startswith("tuple")
            else {"key": mark}
            if kind.startswith(("Mapping", "JsonObject"))
            else mark
            if "str" in kind
            else True
            if "bool" in kind
            else 1
        )
    return record(**values)


def filled_result() -> ScanResult:
    tags = {name: marked(f"tags.{name}") for name in (*PERSONAL_TAGS, "Image Make", "Image Model")}
    tags |= {name: marked(f"tags.{name}") for name in ("Image Software", "EXIF LensModel")}
    headers = {name: marked(f"headers.{name}") for name in HEADERS}
    exif = filled(Exif, tags=tags, latitude=12.25, longitude=34.5)
    decisive = filled(Marker, verdict=marked("Provenance.verdict"))
    provenance = filled(Provenance, markers=(filled(Marker), decisive), signature=filled(SignatureCheck))
    response = filled(Response, headers=headers)
    info = filled(ImageInfo, exif=exif, response=response, provenance=provenance, traces=(filled(Trace),))
    scores = (filled(Score, score=0.5, logit=0.5),)
    copies = filled(Copies, answers=(filled(CopyAnswer),))
    joined = {
        "mark": filled(Mark, decisions=(filled(Decision),)),
        "copies": copies,
        "localization": filled(Localization),
    }
    result = filled(ScanResult, kind=Kind.URL, status=Status.SCORED, facts=info, scores=scores, **joined)
    return replace(result, stage=None)  # type: ignore[no-any-return]


def filled_header() -> RunHeader:
    return filled(  # type: ignore[no-any-return]
        RunHeader,
        models=(ModelRecord(marked("RunHeader.models"), "d"),),
        calibrations={},
        private=False,
        sample=SampleRecord(size=5, seed=0, images=9, folders=2),
        localizer=LocalizerRecord(marked("RunHeader.localizer")),
        sessions=(filled(SessionRecord),),
    )


def marks(text: str) -> set[str]:
    return set(re.findall(r"<([A-Za-z]+\.[A-Za-z0-9_ -]+)>", text))


def private_text_of(tmp_path: Path, suffix: str) -> str:
    journal = journal_of(private_result(filled_result()), run=private_header(filled_header()))
    return rendered(tmp_path / f"r.{suffix}", journal)


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv"])
def test_no_field_leaks(tmp_path: Path, suffix: str) -> None:
    everything = rendered(tmp_path / f"all.{suffix}", journal_of(filled_result(), run=filled_header()))
    text = private_text_of(tmp_path, suffix)
    assert marks(text) <= STAYS
    assert marks(everything) - marks(text) == marks(everything) - STAYS, "and nothing else is lost"
    assert ("12.25" in everything, "34.5" in everything) == (True, True)
    assert ("12.25" in text, "34.5" in text) == (False, False)


def test_the_json_report_shows_that_every_field_was_filled(tmp_path: Path) -> None:
    everything = rendered(tmp_path / "all.json", journal_of(filled_result(), run=filled_header()))
    assert {mark for mark in STAYS if not mark.endswith(("cautions", "RunHeader.calibrations"))} <= marks(
        everything
    )
    assert {f"tags.{name}" for name in PERSONAL_TAGS} <= marks(everything)


@pytest.mark.parametrize("record", list(FIELD_POLICIES), ids=lambda record: record.__name__)
def test_every_field_is_decided_on_once(record: type) -> None:
    policy = FIELD_POLICIES[record]
    decided = [*policy.kept, *policy.changed, *policy.withheld]
    assert sorted(decided) == sorted(field.name for field in fields(record))


def record_types(record: Any) -> Iterator[type]:
    """The types of all records within a record."""
    yield type(record)
    for field in fields(record):
        value = getattr(record, field.name)
        for entry in value if isinstance(value, tuple) else (value,):
            if is_dataclass(entry):
                yield from record_types(entry)


def test_every_record_of_a_result_is_decided_on() -> None:
    assert {*record_types(filled_result()), *record_types(filled_header())} - FIELD_POLICIES.keys() == {
        Score,
        ModelRecord,
        LocalizerRecord,
        SampleRecord,
    }


def exif_of(**changes: Any) -> tuple[Exif, tuple[str, ...]]:
    result = private_result(replace(SCORED, facts=replace(FACTS, exif=Exif(**changes))))
    return result.facts.exif, result.facts.flags


@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        pytest.param({"EXIF ExposureTime": "1/60"}, True, id="a rational"),
        pytest.param({"EXIF LensSpecification": ["24/1", "70/1", "0/0"]}, True, id="rationals"),
        pytest.param({"Image DateTime": "2021:03:04 05:06:07"}, True, id="a date"),
        pytest.param({"Image Orientation": 6}, True, id="a number"),
        pytest.param({"EXIF CVAPattern": "0200020000010102"}, True, id="bytes"),
        pytest.param({"EXIF ExposureTime": "Maria"}, False, id="a name where a number belongs"),
        pytest.param({"Image XResolution": ["72/1", "Maria"]}, False, id="a name among numbers"),
        pytest.param({"EXIF UserComment": "1"}, False, id="a comment"),
        pytest.param({"MakerNote ISOSetting": 100}, False, id="a maker note"),
        pytest.param({"Thumbnail Orientation": 1}, False, id="of the thumbnail"),
        pytest.param({"Image Tag 0xC62F": 7}, False, id="a tag without a name"),
    ],
)
def test_tags(tags: dict[str, Any], kept: bool) -> None:
    exif, flags = exif_of(tags=tags)
    assert exif.tags == (tags if kept else {})
    assert (FLAG in flags) is not kept


def test_a_date_loses_its_zone_and_a_row_says_that_something_is_missing() -> None:
    exif, flags = exif_of(original_date_iso="2021-03-04T05:06:07.25+01:00")
    assert (exif.original_date_iso, flags) == ("2021-03-04T05:06:07.25", (*FACTS.flags, FLAG))
    assert exif_of(original_date_iso="2021-03-04T05:06:07")[1] == FACTS.flags


def test_urls_lose_their_queries_but_for_the_name_of_the_row() -> None:
    signed = "https://host/a.jpg?user=maria&key=1#top"
    facts = replace(FACTS, response=Response(signed, redirects=(signed, "https://host/b.jpg")))
    result = replace(
        SCORED, name=signed, kind=Kind.URL, facts=facts, message=f"redirected to {signed}, but no"
    )
    private = private_result(result)
    assert private.facts.response is not None
    assert private.facts.response.final_url == "https://host/a.jpg?***"
    assert private.facts.response.redirects == ("https://host/a.jpg?***", "https://host/b.jpg")
    assert (private.name, private.message) == (signed, "redirected to https://host/a.jpg?*** but no")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("mark_by=ANNA", "mark_by ***"),
        (" note ~ SECRET", "note ***"),
        ("exif_latitude>48.1", "exif_latitude ***"),
        ("final_url~token=s3cret", "final_url ***"),
        ("redirects~example.org/?token", "redirects ***"),
        ("error_message~token", "error_message ***"),
        ("column_of_a_later_version=ANNA", "***"),
        ("no condition", "***"),
        ("score>=0.8", "score>=0.8"),
        ("b/c.pth.evidence>=moderate", "b/c.pth.evidence>=moderate"),
        ("camera~canon", "camera~canon"),
    ],
)
def test_conditions_lose_what_they_tell(condition: str, expected: str) -> None:
    assert private_condition(condition) == expected


def test_columns_that_lose_something_are_known() -> None:
    result = filled_result()
    private = private_result(result)
    lose = {each.name for each in report_columns(filled_header()) if each.cell(result) != each.cell(private)}
    assert set(WITHHELD_COLUMNS) <= lose
    # Conditions can't name what the last two of them lose: remarks of ours, and the offset of a date.
    assert lose <= {*WITHHELD_COLUMNS, *URL_COLUMNS, "flags", "exif_original_date_iso"}


def test_lists_lose_their_folders() -> None:
    header = private_header(replace(full_header(), lists=("/home/maria/lists/urls.txt", "-")))
    assert (header.lists, header.private) == (("urls.txt", "-"), True)


def test_twice_is_as_once() -> None:
    once = private_result(filled_result())
    assert private_result(once) == once
    assert private_header(private_header(filled_header())) == private_header(filled_header())


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv"])
def test_redacted_later_is_as_private_from_the_start(tmp_path: Path, suffix: str) -> None:
    results = [*results_of_every_status(), replace(filled_result(), name="other\udce9.jpg", kind=Kind.FILE)]
    results = [replace(result, facts=replace(result.facts, sha256="f" * 64)) for result in results]
    report = tmp_path / f"r.{suffix}"
    rendered(report, journal_of(*results, run=full_header()))
    private = journal_of(*map(private_result, results), run=private_header(full_header()))
    expected = rendered(tmp_path / f"private.{suffix}", private)
    new = tmp_path / "new"
    with open_report(report) as opened, new.open("wb") as file:
        assert opened.redact(file) == []
    text = new.read_bytes().decode()
    if suffix == "csv":  # which does not have all tags, so it can't say that some are missing
        text, expected = (whole.replace(f" {FLAG}", "").replace(FLAG, "") for whole in (text, expected))
    assert text == expected


def test_formats_of_others_say_that_they_cannot(tmp_path: Path) -> None:
    class TextReport(ReportFormat):
        def render(self, record: Any, file: Any) -> None: ...
        def recognises(self, head: bytes) -> bool:
            return False

        def rows(self, lines: Iterator[str]) -> Iterator[Any]:
            return iter(())

    with pytest.raises(UsageError, match="reports of this format can't be redacted"):
        TextReport().redact(iter(()), (tmp_path / "x").open("w"))
    redacted = {
        suffix for suffix, form in REPORT_FORMATS.items() if type(form).redact is not ReportFormat.redact
    }
    assert redacted == REPORT_FORMATS.keys() - {"html"}


def test_tags_that_stay_are_names_of_exifread() -> None:
    from exifread.tags.exif import EXIF_TAGS

    known = {entry[0] for entry in EXIF_TAGS.values()}
    assert sorted({tag.partition(" ")[2] for tag in KEPT_TAGS} - known) == []


def test_documentation_names_what_stays_of_exif() -> None:
    page = (Path(__file__).parents[2] / "docs/howto/private-reports.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([A-Za-z0-9_]+)`", page))
    assert {tag.partition(" ")[2] for tag in KEPT_TAGS} <= named
    for record, policy in FIELD_POLICIES.items():
        if record in (Exif, ImageInfo, Response, ScanResult):
            assert {*policy.changed, *policy.withheld} - {"exif", "response", "facts", "tags"} <= named, (
                record
            )


Run = Callable[..., Any]


def test_the_json_of_a_private_run_is_valid(tmp_path: Path) -> None:
    from jsonschema import Draft202012Validator

    schema = json.loads((Path(__file__).parents[2] / "docs/report.schema.json").read_text(encoding="utf-8"))
    journal = journal_of(*map(private_result, results_of_every_status()), run=private_header(full_header()))
    Draft202012Validator(schema).validate(json.loads(rendered(tmp_path / "r.json", journal)))
