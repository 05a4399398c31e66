"""The files that pages are made of, and the hashes by which a page allows its own style and script."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

from sidscan.reports import provenance_words


@cache
def page_part(name: str) -> str:
    """A file of the folder ``page``, as text."""
    return (files("sidscan.reports.html") / "page" / name).read_text(encoding="utf-8")


def page_strings() -> dict[str, Any]:
    """The texts of the report's page: its own, and those that the terminal shows, too."""
    short = provenance_words.SHORT.items()
    shared = {
        "provenanceTexts": {**provenance_words.VERDICTS, **provenance_words.MARKERS},
        "provenanceWords": {said: words.word for said, words in short},
        "filesSayWords": {said: words.head for said, words in short},
        "provenanceSigns": {said: words.sign for said, words in short if words.sign},
        "copySigns": {said: words.copy_sign for said, words in short if words.sign},
        "copyClaims": {said: words.copy_claim for said, words in short if words.sign},
        "strengthTexts": provenance_words.STRENGTHS,
        "provenanceLabels": provenance_words.LABELS,
        "answers": {str(said).lower(): word for said, word in provenance_words.ANSWERS.items()},
        "listedAnswers": {str(said).lower(): word for said, word in provenance_words.LISTED_ANSWERS.items()},
        "unharmed": provenance_words.UNHARMED,
        "notListed": provenance_words.NOT_LISTED,
        "noVerifier": provenance_words.NO_VERIFIER,
        "creditNames": provenance_words.CREDITS,
    }
    return {**json.loads(page_part("strings.json")), **shared}


def csp_hash(source: str) -> str:
    """How a Content Security Policy names a style or script in the page (CSP Level 3, 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
