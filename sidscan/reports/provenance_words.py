"""What a file says of its own origin, in sentences: one table for the terminal and the page.

The page gets it among its other texts (`html.parts.page_strings`).
"""

from __future__ import annotations

from typing import NamedTuple

from sidscan.records import Provenance

VERDICTS = {
    "ai_generated": "The file says that AI made this image.",
    "ai_edited": "The file says that AI made parts of this image. It does not say how large they are: one "
    "retouched spot, or almost everything.",
    "ai_hint": "The file has a trace that AI generators leave. It proves little: others may leave it, too.",
    "held_elsewhere": "The file says that its history is kept at an address. sidscan does not ask there.",
    "unreadable": "The file has metadata that can't be read. They may say anything.",
    "no_ai_claim": "The file has Content Credentials, which do not mention AI. They need not be complete, "
    "and are no proof that a camera took it.",
    "format_not_read": "sidscan does not read metadata in files of this format. What they may say is not "
    "known.",
    "none": "The file says nothing of AI in the places that sidscan reads. That is the commonest answer, "
    "also for images made by AI: most programs and websites remove such statements. It is no proof that a "
    "camera took it.",
}
"""By `PROVENANCE_WORDS`."""
MARKERS = {
    "comfyui-graph": "The file holds a graph of ComfyUI, a program for AI images. Such a graph may only "
    "scale or cut an image.",
    "tc260-possible": "The file has a label of China's rules which says that AI may have made this image.",
    "tc260-suspected": "The file has a label of China's rules which says that a platform suspects AI.",
    "c2pa-capture": "The file has Content Credentials which say that a camera took it. Anybody can sign "
    "that: it is no proof.",
    "metadata-limit": "The file has more metadata than --max-metadata allows. What is behind that limit was "
    "not read.",
    "cut-off": "The file ends early, and its metadata are not whole. What is lost may say anything.",
}
"""By id of a marker that says something else than its verdict; it stands instead if no other marker does."""


class ShortWords(NamedTuple):
    """What a file says, where there is no room for the sentence; it never says more than that does.

    Attributes:
        word: in the filter.
        head: in the head of the page, before a number.
        sign: in the list, of what claims AI; empty otherwise.
        copy_sign: the same of a copy of the image.
        copy_claim: of a copy, behind its path.
    """

    word: str
    head: str
    sign: str = ""
    copy_sign: str = ""
    copy_claim: str = ""


SHORT = {
    "ai_generated": ShortWords(
        "says that AI made it", "AI made it", "says AI", "a copy says AI", "says that AI made this image"
    ),
    "ai_edited": ShortWords(
        "says that AI made parts",
        "AI made parts",
        "says AI parts",
        "a copy says AI parts",
        "says that AI made parts of it",
    ),
    "tc260-possible": ShortWords(
        "says that AI may have made it",
        "AI may have made it",
        "says maybe AI",
        "a copy says maybe AI",
        "says that AI may have made this image",
    ),
    "comfyui-graph": ShortWords(
        "holds a graph of ComfyUI",
        "a graph of ComfyUI",
        "ComfyUI graph",
        "a copy: ComfyUI graph",
        "holds a graph of ComfyUI",
    ),
    "tc260-suspected": ShortWords(
        "says that a platform suspects AI",
        "a platform suspects AI",
        "AI suspected",
        "a copy: AI suspected",
        "says that a platform suspects AI",
    ),
    "ai_hint": ShortWords(
        "a weak trace of AI", "a weak trace of AI", "AI trace", "a copy: AI trace", "has a weak trace of AI"
    ),
    "held_elsewhere": ShortWords("history kept elsewhere", "history kept elsewhere"),
    "unreadable": ShortWords("can't be read", "can't be read"),
    "metadata-limit": ShortWords("more than --max-metadata", "more than --max-metadata"),
    "cut-off": ShortWords("metadata cut off", "metadata cut off"),
    "no_ai_claim": ShortWords("credentials that don't mention AI", "credentials that don't mention AI"),
    "c2pa-capture": ShortWords("credentials that claim a camera", "credentials that claim a camera"),
    "format_not_read": ShortWords("format not read", "format not read"),
    "none": ShortWords("says nothing of AI", "nothing of AI"),
}
"""By `said`; what claims most AI stands first, and the page sorts by that."""
STRENGTHS = {
    "signed_trusted": "Backed by a signature that fits, of a signer on a trust list.",
    "signed_untrusted": "Backed by a signature that fits, of a signer who is on no trust list, or was not "
    "when it counted.",
    "signed_broken": "The signature does not fit the claim, or the bytes changed after it.",
    "not_checked": "It stands in a signed manifest (C2PA). The signature was not checked, so anybody may "
    "have written it.",
    "plain": "It is a statement without a signature: anybody can write or remove it.",
    "weak": "It is a weak trace.",
}
"""By `PROVENANCE_STRENGTHS`."""
LABELS = {
    "says": "named as the maker",
    "program": "program named",
    "checked": "checked by",
    "bytes_unchanged": "bytes unchanged since signing",
    "signature_good": "signature fits",
    "signer_listed": "signer on a trust list",
    "signed_at": "signed at",
    "codes": "what failed, in the words of C2PA",
    "error": "it could not be verified",
    "signer": "signer, as its certificate says",
    "byline": "IPTC by-line",
    "credit": "IPTC credit",
    "source": "IPTC source",
    "caption": "IPTC caption",
    "copyright": "IPTC copyright",
}
"""By fields of the records `Provenance`, `SignatureCheck` and `Marker`."""
UNHARMED = "None of these codes says that anybody changed the file after it was signed."
"""Stands behind codes that failed, if it is so (`SignatureCheck.is_unharmed`)."""
NOT_LISTED = "Adobe, Microsoft, OpenAI and Samsung are not on the bundled trust list."
NO_VERIFIER = "Its signature was not checked: `pip install c2pa-python` brings what checks it."
ANSWERS = {True: "yes", False: "no", None: "not known"}
LISTED_ANSWERS = {**ANSWERS, False: "no, or not valid when it signed"}
CREDITS = ("byline", "credit", "source", "caption", "copyright")


def said(provenance: Provenance) -> str:
    """The word for what the file says, or the id of a marker that says something else than it (`MARKERS`)."""
    decisive = provenance.by_decisive
    special = decisive and all(marker_id in MARKERS for marker_id in decisive)
    return decisive[0] if special else provenance.verdict


def verdict_text(provenance: Provenance) -> str:
    """What the file says, in a sentence or two."""
    return {**VERDICTS, **MARKERS}[said(provenance)]
