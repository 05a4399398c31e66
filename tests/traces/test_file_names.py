"""Names have the shape that a messenger, a website or a screenshot tool gives, or they have none."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_images import encoded, photo

from sidscan.config import ScanConfig
from sidscan.isolation.reader import read_item
from sidscan.records import Item, Trace
from sidscan.traces.file_names import PATTERNS, last_part, match_name

NAMES = {
    "screenshot_name": [
        "Screenshot_20210304-050607.png",
        "Screenshot_20210304-050607_Chrome.jpg",
        "Screenshot_20210304-050607~2.png",
        "Screenshot_20210304_050607.png",
        "Screenshot_2021-03-04-05-06-07.png",
        "Screenshot_2021-03-04-05-06-07-123_com.android.chrome.jpg",
        "Screen Shot 2021-03-04 at 5.06.07 AM.png",
        "Screenshot 2024-03-04 at 5.06.07\u202fPM.png",
        "Screenshot 2024-09-30 162059.png",
        "screenshot 2024-03-04 05.06.07",
        "Bildschirmfoto 2022-10-02 um 18.01.39.png",
        "Capture d\u2019écran 2021-04-13 à 10.50.00.png",
        "Capture d'écran 2024-12-01 224735.png",
        "Captura de pantalla 2024-07-10 a la(s) 5.16.27 p. m..png",
        "Снимок экрана 2024-03-08 в 22.38.52.png",
        "截屏2021-03-04 上午5.06.07.png",
        "Screenshot from 2017-05-21 12-24-03.png",
        "Simulator Screen Shot - iPhone 13 - 2021-03-04 at 05.06.07.png",
    ],
    "whatsapp_name": [
        "IMG-20210922-WA0001.jpg",
        "IMG-20210922-WA0001(1).jpg",
        "IMG-20210922-WA0012 (2).jpeg",
        "WhatsApp Image 2023-06-10 at 22.57.43.jpeg",
        "WhatsApp Image 2023-11-03 at 1.15.53 PM.jpeg",
        "WhatsApp Image 2025-07-12 à 16.06.43_fee671c9.jpg",
        "00000012-PHOTO-2021-03-04-05-06-07.jpg",
        "PHOTO-2024-01-02-10-11-12.jpg",
        "PHOTO-2024-01-02-10-11-12 (1).jpg",
    ],
    "telegram_name": [
        "photo_2021-03-04_05-06-07.jpg",
        "photo_2021-03-04_05-06-07 (2).jpg",
        "photo_1@28-09-2018_15-39-28.jpg",
    ],
    "signal_name": [
        "signal-2022-06-06-214121.jpeg",
        "signal-2022-06-06-214121_001.jpeg",
        "signal-2023-01-02-03-04-05-678.jpg",
    ],
    "facebook_name": [
        "FB_IMG_1542640342136.jpg",
        "FB_IMG_15723530991882929.jpg",
        "received_1234567890123456.jpeg",
        "86273366_816207565527853_4832378081094139904_o.jpg",
    ],
    "flickr_name": ["24148019753_bc3bb60f50_o.jpg", "1418878_1e92283336_m.jpg", "1418878_1e92283336.jpg"],
    None: [
        "IMG_20210304_050607.jpg",
        "IMG-20210922-WA01.jpg",
        "IMG-20219922-WA0001.jpg",
        "PHOTO-2024-01-02.jpg",
        "PHOTO-2024-01-02-10-11-12-2.jpg",
        "my IMG-20210922-WA0001.jpg",
        "IMG-20210922-WA0001-edited.jpg",
        "WhatsApp.jpg",
        "WhatsApp Image.jpeg",
        "screenshot.png",
        "Screenshot (12).png",
        "Screenshots 2021-03-04.txt.png",
        "a Screenshot 2024-03-04 at 05.06.07.png",
        "Screenshot_of_a_page.png",
        "Screenshot 1921-99-04.png",
        "photo_2021.jpg",
        "photo_2021-03-04.jpg",
        "photo.jpg",
        "signal-2022.png",
        "signal-to-noise-2022-06-06.png",
        "received.jpg",
        "received_1234.jpg",
        "FB_IMG_1.jpg",
        "12345_67890_1234_n.jpg",
        "20210304_0506071234_n.jpg.png",
        "1418878_1e9228333.jpg",
        "1418878_xe92283336_m.jpg",
        "EYk3vQ2XsAAx1ab.jpg",
        "",
        ".jpg",
        "x" * 5000,
    ],
}
CASES = [(kind, name) for kind, names in NAMES.items() for name in names]


@pytest.mark.parametrize(("kind", "name"), CASES, ids=lambda value: str(value)[:40])
def test_names(kind: str | None, name: str) -> None:
    for form in ("NFC", "NFD"):  # macOS stores accents apart
        pattern = match_name(unicodedata.normalize(form, name))
        assert (pattern.kind.id if pattern else None) == kind


def test_every_pattern_fits_its_example_and_no_other_kind() -> None:
    for pattern in PATTERNS:
        found = match_name(pattern.example)
        assert found is pattern
        assert pattern.source


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("a/b/c.jpg", "c.jpg"),
        (r"C:\a\c.jpg", "c.jpg"),
        ("a.zip!/b/c.jpg", "c.jpg"),
        ("https://h.example/b/c%20d.jpg?e=/f.jpg#g/h", "c d.jpg"),
        ("https://h.example", ""),
        ("https://[", ""),
        ("c%20d.jpg", "c%20d.jpg"),
        ("a/", ""),
    ],
)
def test_the_last_part_of_a_name(name: str, last: str) -> None:
    assert last_part(name) == last


@given(st.text(max_size=300))
def test_any_name_has_an_answer(name: str) -> None:
    assert match_name(last_part(name)) is None or "/" not in last_part(name)


def test_a_name_is_a_trace_whose_value_is_the_name(tmp_path: Path) -> None:
    path = tmp_path / "IMG-20210922-WA0001.jpg"
    path.write_bytes(encoded(photo(64, 64), "JPEG"))
    found = read_item(Item(str(path)), ScanConfig(inputs=("a",))).facts.traces
    detail = "the name has the shape that WhatsApp on Android gives"
    assert found == (Trace("whatsapp_name", detail, "name", 0, path.name),)
