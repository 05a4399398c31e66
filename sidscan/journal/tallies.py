"""Results of a record in groups, for closing lines: those that count alike are not read back one by one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sidscan.journal.tables import SHA256
from sidscan.records import Stage, Status

_MARKERS, _SIGNATURE, _VERDICT = (
    f"json_extract(finding, '$.facts.provenance.{name}')" for name in ("markers", "signature", "verdict")
)
_STATES = f"ifnull({_MARKERS} != '[]' OR {_SIGNATURE} IS NOT NULL OR {_VERDICT} LIKE 'ai%', FALSE)"
"""Whether the file states more of its origin than a verdict says."""

IN_LISTING = (
    f"(status = '{Status.SKIPPED.value}' AND json_extract(finding, '$.stage') = '{Stage.LIST.value}')"
)
OTHERS = f"status != '{Status.SCORED.value}' AND NOT {IN_LISTING}"
"""What has neither a score nor a reason of the listing."""
WITH_STATEMENTS = f"status = '{Status.SCORED.value}' AND {_STATES}"

POSSIBLE_COPIES = f"""(ifnull(json_extract(finding, '$.facts.perceptual_hash'), '') != '' OR {SHA256} IN (
    SELECT {SHA256} FROM items WHERE status = 'scored' GROUP BY {SHA256} HAVING count(*) > 1
    UNION ALL SELECT {SHA256} FROM items WHERE {OTHERS}))"""  # noqa: S608
"""What may show the same as another input: its bytes occur twice, or a hash says what it shows."""


@dataclass(frozen=True, slots=True)
class ScoredGroup:
    """Scored images that closing lines count alike.

    Attributes:
        number: how many they are.
        first: position of the first one.
        flags: of each.
        views: crops that were scored of each.
        complete: whether a version of sidscan made the results that fills all columns.
        hashed: whether it has a perceptual hash.
        states: whether the files state more of their origin than the verdict says.
        verdict: what they say of their origin; None where nobody looked.
        evidence: by each model.
        reaches: whether the score reaches the threshold given for each model.
        cautions: of the first model.
    """

    number: int
    first: int
    flags: tuple[str, ...]
    views: int
    complete: bool
    hashed: bool
    states: bool
    verdict: str | None
    evidence: tuple[str, ...]
    reaches: tuple[bool, ...]
    cautions: tuple[str, ...]


def scored_groups(database: sqlite3.Connection, thresholds: Sequence[float | None]) -> Iterator[ScoredGroup]:
    """All scored images of a record in groups, by their first image.

    Args:
        thresholds: logits, one for each model; None where no one asks.
    """
    score = [f"json_extract(finding, '$.scores[{number}].{{}}')" for number in range(len(thresholds))]
    reached = [
        "FALSE" if threshold is None else f"{each.format('logit')} >= {threshold!r}"
        for each, threshold in zip(score, thresholds, strict=True)
    ]
    columns = [
        "position",
        *(f"json_extract(finding, '$.{name}')" for name in ("facts.flags", "views")),
        *(
            f"json_extract(finding, '$.{name}') IS NOT NULL"
            for name in ("share_scored", "facts.perceptual_hash")
        ),
        *(_STATES, _VERDICT, score[0].format("cautions")),
        *(each.format("evidence") for each in score),
        *reached,
    ]
    query = f"SELECT {', '.join(columns)} FROM items WHERE status = 'scored' ORDER BY position"  # noqa: S608
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row in database.execute(query):
        groups.setdefault(row[1:], [0, row[0]])[0] += 1
    for key, (number, first) in groups.items():
        flags, views, complete, hashed, states, verdict, cautions, *of_models = key
        yield ScoredGroup(
            number=number,
            first=first,
            flags=_texts(flags),
            views=views or 0,
            complete=bool(complete),
            hashed=bool(hashed),
            states=bool(states),
            verdict=verdict,
            evidence=tuple(of_models[: len(score)]),
            reaches=tuple(map(bool, of_models[len(score) :])),
            cautions=_texts(cautions),
        )


def listing_reasons(database: sqlite3.Connection) -> Iterator[tuple[str, int, int]]:
    """Why inputs are not read: the reason, their number, and the position of the first."""
    yield from database.execute(
        f"""SELECT ifnull(json_extract(finding, '$.message'), ''), count(*), min(position) FROM items
        WHERE {IN_LISTING} GROUP BY 1"""  # noqa: S608
    )


def _texts(values: str | None) -> tuple[str, ...]:
    return tuple(json.loads(values)) if values else ()
