"""Thumbnails become JPEG in a process of their own; one that fails is left out."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from sample_images import encoded, photo

from sidscan.isolation import thumbnails
from sidscan.isolation.processes import WorkerPool
from sidscan.isolation.thumbnails import jpeg_thumbnails


def webp(width: int, height: int) -> bytes:
    return encoded(photo(width, height), "WEBP")


def test_a_thumbnail_becomes_a_jpeg_of_its_size() -> None:
    with jpeg_thumbnails() as convert:
        for size in ((160, 90), (1, 160)):
            with Image.open(io.BytesIO(convert(webp(*size)))) as image:
                assert (image.format, image.size, image.mode) == ("JPEG", size, "RGB")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"RIFF\x00\x00\x00\x00WEBPVP8 ", id="cut"),
        pytest.param(webp(160, 90)[:200], id="cut in its pixels"),
        pytest.param(webp(161, 90), id="too wide"),
        pytest.param(webp(90, 161), id="too high"),
        pytest.param(encoded(photo(90, 90), "PNG"), id="another format"),
    ],
)
def test_what_is_no_thumbnail_is_left_out_and_the_next_one_is_not(data: bytes) -> None:
    with jpeg_thumbnails() as convert:
        assert convert(data) == b""
        assert convert(webp(9, 9)).startswith(b"\xff\xd8")


def test_a_process_that_dies_costs_one_thumbnail_and_many_end_the_trying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dies.py").write_text(
        "import sys\n"
        "from sidscan.isolation.frames import READY, Frame, read_frame, write_frame\n"
        "def main():\n"
        f"    open({str(tmp_path / 'starts')!r}, 'a').write('x')\n"
        "    write_frame(sys.stdout.buffer, READY)\n"
        "    while read_frame(sys.stdin.buffer).payload != b'die':\n"
        "        write_frame(sys.stdout.buffer, Frame({}, b'jpeg'))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(thumbnails, "_WORKER_MODULE", "dies")
    with jpeg_thumbnails() as convert:
        assert [convert(data) for data in (b"1", b"die", b"2")] == [b"jpeg", b"", b"jpeg"]
        assert {convert(b"die") for _ in range(9)} == {b""}
    assert (tmp_path / "starts").read_text() == "x" * 5


def test_the_process_ends_with_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    pools = list[WorkerPool]()

    def pool(*arguments: str, max_payload: int) -> WorkerPool:
        pools.append(WorkerPool(*arguments, max_payload=max_payload))
        return pools[-1]

    monkeypatch.setattr(thumbnails, "WorkerPool", pool)
    with jpeg_thumbnails() as convert:
        convert(webp(9, 9))
        running = pools[0]._processes[0]._running
        assert running is not None
        assert running.poll() is None
    assert running.poll() is not None
