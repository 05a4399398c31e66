"""The section of the model card on repositories that localizer-b16 never saw."""

from __future__ import annotations

from collections.abc import Sequence

from .measure import LARGER, SIDE, WITH_REGIONS
from .results import ERRORS, INSPECTED, MINI, OURS
from .unseen_figures import UnseenComposites, UnseenFigures, WholeFigures

UNSEEN_COMMAND = (
    "python -m sidscan.training.localizer_b16.unseen --whole UNSEEN --weights sidscan/weights --work WORK"
)
BESIDE = (OURS, INSPECTED, MINI, ERRORS)


def unseen_section(figures: UnseenFigures) -> str:
    """Composites, what there is beside them, and whole images."""
    composites = [entry for entry in figures["composites"] if entry["kind"] in WITH_REGIONS]
    others = [entry for entry in figures["composites"] if entry["kind"] not in WITH_REGIONS]
    parts = [_introduction(figures), _composites(composites)]
    if others:
        parts.append(_others(others))
    if beside := _beside(composites):
        parts.append(beside)
    if figures["whole"]:
        parts.append(_whole(figures["whole"]))
    return "\n\n".join(parts)


def _introduction(figures: UnseenFigures) -> str:
    counts = {
        label: [source["images"] for source in figures["sources"] if source["label"] == label]
        for label in ("real", "synthetic")
    }
    real, synthetic = counts["real"], counts["synthetic"]
    return f"""## On repositories it never saw

The shipped decoder at the shipped alarm ({figures["alarm_contrast"]:.2f}), on {sum(real)} photographs of
{len(real)} repositories and {sum(synthetic)} synthetic images of {len(synthetic)}. They were gathered after
it was trained, from repositories that were used for nothing before (`training/windows/unseen_images.csv`). A
label rests on what the repository says of its images, and on a look at each. There are few images, at most
ten of a repository, and composites share them: intervals and standard errors count composites and are too
narrow. The measurement is cut short where time ends; each row says how many images it rests on.

```
python -m sidscan.training.windows.whole_images --list unseen_images --out UNSEEN
{UNSEEN_COMMAND}
```"""


def _composites(entries: Sequence[UnseenComposites]) -> str:
    rows = [
        f"| {entry['kind']} | {_area(entry)} | {entry['side']} px | {entry['condition']} | {ours['images']} "
        f"| {_two(ours['iou'])} | {_two(entry['error'])} | {_two(ours['ap'])} | {_alarms(entry)} |"
        for entry in entries
        for ours in [entry["methods"][OURS]]
    ]
    return "\n".join(
        [
            f"Composites are made as above. {SIDE} px take 16 tiles, {LARGER[-1]} px are read at half",
            "their size.",
            "",
            "| Composite | Region | Image | Saved as | Images | IoU | Its standard error | AP | Alarm |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *rows,
        ]
    )


def _others(entries: Sequence[UnseenComposites]) -> str:
    rows = [
        f"| {entry['kind']} | {_area(entry)} | {ours['images']} | {100 * ours['marked']:.0f} % "
        f"| {_alarms(entry)} |"
        for entry in entries
        for ours in [entry["methods"][OURS]]
    ]
    return "\n".join(
        [
            "Edits without a generator, of which nothing should be marked, as JPEG 95:",
            "",
            "| Image | Region | Images | Marked | Alarm |",
            "| --- | --- | --- | --- | --- |",
            *rows,
        ]
    )


def _beside(entries: Sequence[UnseenComposites]) -> str | None:
    """The methods on composites as JPEG 95; figures are means over images of all sizes of region."""
    rows = [row for method in BESIDE if (row := _method(method, entries))]
    if not rows:
        return None
    return "\n".join(
        [
            f"Beside it, on composites of {SIDE} px as JPEG 95, what there is without it. Grids are those",
            "that `sidscan inspect` draws, of the shipped rine-b16 and mini, of the first composites of a",
            "row. IoU is at 0.5; in brackets, at the threshold that is best for the method on four fifths of",
            "the composites, of the last fifth:",
            "",
            "| Map | Inserted: images | IoU | (best) | AP | Pasted back: images | IoU | (best) | AP |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *rows,
        ]
    )


def _method(method: str, entries: Sequence[UnseenComposites]) -> str | None:
    cells = []
    for kind in WITH_REGIONS:
        seen = [
            entry["methods"][method]
            for entry in entries
            if entry["kind"] == kind and entry["side"] == SIDE and entry["condition"] == "JPEG 95"
            if method in entry["methods"]
        ]
        count = sum(each["images"] for each in seen)
        if not count:
            return None
        cells.append(str(count))
        for key in ("iou", "iou_tuned", "ap"):
            known = [(each["images"], each[key]) for each in seen]
            total = sum(images * value for images, value in known if value is not None)
            cells.append(_two(total / count))
    return f"| {method} | " + " | ".join(cells) + " |"


def _whole(rows: Sequence[WholeFigures]) -> str:
    return "\n".join(
        [
            "Whole images, read as `sidscan localize` reads them. The alarm was set so that 1 % of",
            "photographs set it off. A whole synthetic image should be marked all over, and no part of it",
            "stand out:",
            "",
            "| Kind | Images | Repositories | Marked | Alarm |",
            "| --- | --- | --- | --- | --- |",
            *(
                f"| {row['kind']} | {row['images']} | {row['repositories']} | {100 * row['marked']:.1f} % "
                f"| {row['alarms']} ({100 * row['interval'][0]:.1f} to {100 * row['interval'][1]:.1f} %) |"
                for row in rows
            ),
        ]
    )


def _area(entry: UnseenComposites) -> str:
    return "whole" if entry["area"] is None else f"{100 * entry['area']:g} %"


def _alarms(entry: UnseenComposites) -> str:
    if entry["alarms"] is None or entry["interval"] is None:
        return "-"
    low, high = entry["interval"]
    return f"{100 * entry['alarms']:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
