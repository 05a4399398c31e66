"""Names as messengers, websites and screenshot tools give them to files.

All shapes are in one table, `PATTERNS`, each with an example and where it is known from.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from sidscan.records import Trace
from sidscan.traces import TracedImage, TraceKind, trace

_RENAMED = "Anybody can rename a file, and others may give such names. It says nothing about the pixels."


def _kind(trace_id: str, service: str, who: str) -> TraceKind:
    return TraceKind(
        id=trace_id,
        observed=f"the name of the file has the shape of a name that {service}",
        place="the last part of the input's name: of its path, URL or archive member",
        who=who,
        limits=_RENAMED,
    )


SCREENSHOT = _kind(
    "screenshot_name", "systems give to screenshots", "Android, iOS, macOS, Windows, GNOME, KDE"
)
WHATSAPP = _kind("whatsapp_name", "WhatsApp gives", "WhatsApp on phones, on computers, and its chat exports")
TELEGRAM = _kind("telegram_name", "Telegram Desktop gives", "Telegram Desktop: saved photos and chat exports")
SIGNAL = _kind("signal_name", "Signal gives", "Signal, for attachments that people save")
FACEBOOK = _kind("facebook_name", "Facebook or Instagram gives", "Facebook, Messenger and Instagram")
FLICKR = _kind("flickr_name", "Flickr gives", "Flickr, for what people download")


@dataclass(frozen=True)
class NamePattern:
    """One shape of a name.

    Attributes:
        shape: of the whole name without its suffix and without a counter like `` (1)``.
        given_by: completes "the name has the shape that ... gives".
        source: code or documentation of who gives it, else where such names are public.
    """

    kind: TraceKind
    shape: re.Pattern[str]
    given_by: str
    example: str
    source: str


_DATE = r"(?:19|20)\d\d-[01]\d-[0-3]\d"
_COMPACT_DATE = r"(?:19|20)\d\d[01]\d[0-3]\d"
_SPACE = "[ _\u00a0\u202f]"  # macOS puts a narrow one before AM and PM; websites put underscores
# What macOS and Windows call a screenshot, in the languages in which such names were found.
_SCREENSHOT_WORDS = (
    "Screen ?shot|Bildschirmfoto|Capture d['\u2019]écran|Captura de (?:pantalla|tela)|Schermata"
    "|Schermafbeelding|Skärmavbild|Снимок экрана|スクリーンショット|截屏|屏幕截图|屏幕快照"
)
_PUBLIC = "names in public repositories"
_UNCHECKED = "commonly stated; not checked against code or files"


def _pattern(kind: TraceKind, shape: str, given_by: str, example: str, source: str) -> NamePattern:
    return NamePattern(kind, re.compile(shape, re.IGNORECASE), given_by, example, source)


PATTERNS = (
    _pattern(
        SCREENSHOT,
        rf"Screenshot_(?:{_COMPACT_DATE}[-_]\d{{6}}|{_DATE}-\d\d-\d\d-\d\d(?:-\d{{1,3}})?)"
        r"(?:[_~-][\w .-]{1,80})?",
        "Android or KDE",
        "Screenshot_20210304-050607_Chrome.jpg",
        "AOSP, SystemUI ImageExporter: Screenshot_%s with yyyyMMdd-HHmmss; KDE's is not checked",
    ),
    _pattern(
        SCREENSHOT,
        rf"(?:{_SCREENSHOT_WORDS}){_SPACE}?{_DATE}(?:{_SPACE}[^/]{{1,30}})?",
        "macOS, Windows or ChromeOS",
        "Bildschirmfoto 2022-10-02 um 18.01.39.png",
        _PUBLIC,
    ),
    _pattern(
        SCREENSHOT,
        rf"Screenshot from {_DATE} \d\d[-.]\d\d[-.]\d\d(?: - \d+)?",
        "GNOME",
        "Screenshot from 2017-05-21 12-24-03.png",
        "GNOME Screenshot, screenshot-filename-builder.c",
    ),
    _pattern(
        SCREENSHOT,
        rf"Simulator Screen ?shot - [\w .()-]{{1,60}} - {_DATE} at \d\d\.\d\d\.\d\d",
        "Apple's simulator",
        "Simulator Screen Shot - iPhone 13 - 2021-03-04 at 05.06.07.png",
        _UNCHECKED,
    ),
    _pattern(
        WHATSAPP,
        rf"IMG-{_COMPACT_DATE}-WA\d{{4,}}",
        "WhatsApp on Android",
        "IMG-20210922-WA0001.jpg",
        _PUBLIC,
    ),
    _pattern(
        WHATSAPP,
        rf"WhatsApp{_SPACE}Image{_SPACE}{_DATE}{_SPACE}.{{1,4}}{_SPACE}\d\d?[.:]\d\d[.:]\d\d(?:{_SPACE}[AP]M)?"
        r"(?:_[0-9a-f]{8})?",
        "WhatsApp on a computer",
        "WhatsApp Image 2025-10-13 at 23.57.02_0cf5591a.jpg",
        _PUBLIC,
    ),
    _pattern(
        WHATSAPP,
        rf"\d{{8}}-PHOTO-{_DATE}-\d\d-\d\d-\d\d",
        "a chat export of WhatsApp on iOS",
        "00000012-PHOTO-2021-03-04-05-06-07.jpg",
        "readers of such exports, e.g. bagaswh/message-backup-parser",
    ),
    _pattern(
        WHATSAPP,
        rf"PHOTO-{_DATE}-\d\d-\d\d-\d\d",
        "WhatsApp on iOS",
        "PHOTO-2024-01-02-10-11-12.jpg",
        _UNCHECKED,
    ),
    _pattern(
        TELEGRAM,
        rf"photo_{_DATE}_\d\d-\d\d-\d\d",
        "Telegram Desktop",
        "photo_2021-03-04_05-06-07.jpg",
        "Telegram Desktop: filedialogDefaultName of photo and .jpg",
    ),
    _pattern(
        TELEGRAM,
        r"photo_\d+@[0-3]\d-[01]\d-(?:19|20)\d\d_\d\d-\d\d-\d\d",
        "a chat export of Telegram Desktop",
        "photo_1@28-09-2018_15-39-28.jpg",
        _UNCHECKED,
    ),
    _pattern(
        SIGNAL,
        rf"signal-{_DATE}-(?:\d{{6}}|\d\d-\d\d-\d\d(?:-\d{{3}})?)(?:[_-]\d{{1,3}})?",
        "Signal",
        "signal-2022-06-06-214121_001.jpeg",
        "names in public repositories; Signal's code was not opened",
    ),
    _pattern(FACEBOOK, r"FB_IMG_\d{13,17}", "Facebook's app", "FB_IMG_1542640342136.jpg", _PUBLIC),
    _pattern(FACEBOOK, r"received_\d{14,17}", "Messenger", "received_1234567890123456.jpeg", _UNCHECKED),
    _pattern(
        FACEBOOK,
        r"\d{6,10}_\d{14,17}_\d{15,19}_[ons]",
        "a server of Facebook or Instagram",
        "86273366_816207565527853_4832378081094139904_o.jpg",
        _PUBLIC,
    ),
    _pattern(
        FLICKR,
        r"\d{7,11}_[0-9a-f]{10}(?:_[a-z0-9]{1,2})?",
        "Flickr",
        "24148019753_bc3bb60f50_o.jpg",
        "Flickr's documentation of photo URLs: {id}_{secret}_{size}.jpg",
    ),
)
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{2,5}$")
_COUNTER = re.compile(r"(?: ?\(\d{1,3}\))+$")  # of browsers and file managers, for the same name again
_LONGEST = 255  # characters; longer names have none of the shapes


@trace(SCREENSHOT, WHATSAPP, TELEGRAM, SIGNAL, FACEBOOK, FLICKR)
def find(image: TracedImage) -> Iterator[Trace]:
    """The first shape that the name has."""
    name = last_part(image.name)
    if pattern := match_name(name):
        yield pattern.kind.found(f"the name has the shape that {pattern.given_by} gives", "name", 0, name)


def last_part(name: str) -> str:
    """The file's own name, of a path, a URL or an archive member."""
    if name.lower().startswith(("http://", "https://")):
        try:
            name = unquote(urlsplit(name).path)
        except ValueError:
            return ""
    return re.split(r"[/\\]", name)[-1]


def match_name(name: str) -> NamePattern | None:
    """The first pattern that fits a whole file name, with a suffix or without."""
    if len(name) > _LONGEST:
        return None
    stem = _COUNTER.sub("", _SUFFIX.sub("", unicodedata.normalize("NFC", name)))
    return next((pattern for pattern in PATTERNS if pattern.shape.fullmatch(stem)), None)
