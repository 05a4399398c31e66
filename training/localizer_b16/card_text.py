"""The model card of localizer-b16 as Markdown, every figure from its JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict

from .figures import CompositeFigures, PhotographFigures
from .measure import LARGER, MOST_TILES, SIDE, WITH_REGIONS
from .results import METHODS, OURS
from .unseen_figures import REAL, UnseenFigures
from .unseen_text import unseen_section

Figure: TypeAlias = Literal["iou", "iou_tuned", "ap"]


class LocalizerCard(TypedDict):
    """What localizer_b16.json holds."""

    name: str
    version: str
    licence: str
    sha256: str
    parameters: int
    card_command: str
    train_command: str
    encoder: str
    blocks: list[int]
    threshold: float
    alarm_area: float | None
    alarm_contrast: float | None
    fold_alarms: list[float]
    tiles: int
    kinds: dict[str, float]
    windows: int
    repositories: int
    tuned: dict[str, list[float]]  # threshold of each fold, best on the others
    composites: list[CompositeFigures]
    photographs: list[PhotographFigures]
    folds: Sequence[Mapping[str, Any]]
    sources: Sequence[Mapping[str, Any]]
    unseen: UnseenFigures | None  # by sidscan.training.localizer_b16.unseen


def render_card(card: LocalizerCard) -> str:
    """The whole card."""
    sections = (
        _head(card),
        _measured(card),
        _compared(card),
        _not_synthetic(card),
        _photographs(card),
        *([unseen_section(card["unseen"])] if card["unseen"] else []),
        _training(card),
        _limits(),
        _sources(card),
    )
    return "\n\n".join(sections) + "\n"


def _head(card: LocalizerCard) -> str:
    return f"""# Model card: {card["name"]}, version {card["version"]}

<!-- rendered from localizer_b16.json by: {card["card_command"]} -->

A localizer: for every pixel of an image it gives a number from 0 to 1, the higher, the more the pixel looks
as if a generator had made it. It is a small decoder of ours on patch tokens of OpenAI's CLIP ViT-B/16. It
shows a person where to look. A region that it marks proves nothing, and neither does a map without one.

**It was fitted to and measured on composites alone**: images into which we pasted regions of other images.
Nobody's inpainting tool was at hand. How it does on images that people edited with such tools is not known.

- **Weights**: `localizer_b16.safetensors` ({card["parameters"]:,} numbers), sha256 `{card["sha256"]}`
- **Encoder**: `{card["encoder"]}`, tokens after blocks {_list(card["blocks"])} (counted from 0). All
  figures here are of bfloat16; the log of localizer-b16 says how little float32 changes.
- **Licences**: the decoder is {card["licence"]} and trained by this project, which redistributes no image.
  CLIP's weights are MIT; OpenAI's model card calls any deployed use of CLIP out of scope.
- **Reads**: tiles of 224 native pixels, 112 px apart, never resized; of large images, a half, a quarter ...
  of the image. Maps of tiles are blended.
- **In short**: {_in_short(card)}
- **Threshold**: a pixel is marked above {card["threshold"]:g}.
- **Alarm**: 1 % of whole photographs have a map with more contrast than {card["alarm_contrast"]:.2f} (a
  repository of n weighing as the square root of n). Contrast says how clearly one part stands out:
  `sidscan/localize/contrast.py` defines it. Above the alarm, `sidscan localize` speaks of a `region to look
  at`; below, of a `region, as whole photographs may have`. **It finds few edits**: the tables below say how
  often it goes off. On average {_marked(card)} of a photograph is marked, so look at the overlay, too. The
  alarm was measured with at most {MOST_TILES} tiles of an image, which is what a CPU reads by default; nobody
  measured the 512 of a GPU, or `--protocol global`.{_unseen_alarms(card["unseen"])}"""


def _unseen_alarms(unseen: UnseenFigures | None) -> str:
    """How often photographs set off the alarm that were gathered later; empty if none were."""
    photographs = next((each for each in unseen["whole"] if each["kind"] == REAL), None) if unseen else None
    if photographs is None:
        return ""
    return (
        f" **Of {photographs['images']} photographs of repositories it never saw,\n"
        f"  {photographs['alarms']} set it off** (below)."
    )


def _marked(card: LocalizerCard) -> str:
    return f"{100 * card['photographs'][-1]['marked']:.1f} %"


def _in_short(card: LocalizerCard) -> str:
    by_area = {
        entry["area"]: entry
        for entry in card["composites"]
        if entry["side"] == SIDE and _is(entry, "inserted", "JPEG 95")
    }
    words = [f"{_two(entry['methods'][OURS]['iou'])} of {_area(entry)}" for entry in by_area.values()]
    inserted, rest = (_two(_mean(card, OURS, "iou", kind)) for kind in WITH_REGIONS)
    alarms = [
        "an unknown share" if entry["alarms"] is None else f"{100 * entry['alarms']:.0f} %"
        for entry in by_area.values()
    ]
    return (
        f"on composites of repositories that it was not fitted on, mean IoU {inserted} for synthetic\n"
        f"  regions in real images ({', '.join(words)} of the image), {rest} for what is around\n"
        f"  real regions in synthetic images; {', '.join(alarms)} of the\n"
        "  former set off the alarm, and so do 1 % of whole photographs."
    )


def _mean(card: LocalizerCard, method: str, key: Figure, kind: str) -> float | None:
    """Mean over the sizes of a kind, as JPEG 95, each counting the same."""
    values = [
        entry["methods"][method][key]
        for entry in card["composites"]
        if entry["side"] == SIDE and _is(entry, kind, "JPEG 95") and method in entry["methods"]
    ]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _measured(card: LocalizerCard) -> str:
    rows = [
        f"| {entry['kind']} | {_area(entry)} | {entry['side']} px | {entry['condition']} | {ours['images']} "
        f"| {_two(ours['iou'])} | {_two(ours['iou_tuned'])} | {_two(ours['ap'])} | {_alarms(entry)} |"
        for entry in card["composites"]
        if entry["kind"] in WITH_REGIONS
        for ours in [entry["methods"][OURS]]
    ]
    return "\n".join(
        [
            "## Synthetic regions",
            "",
            "Square composites, cut from whole images at their own size: a synthetic region in a real",
            "image (`inserted`), a real region in a synthetic image (`pasted back`: the rest is",
            "synthetic). Host and region come from two repositories, on neither of which the decoder was",
            f"fitted. IoU is at the threshold {card['threshold']:g}; in brackets, at the one that is best on",
            "composites of the other folds. AP is the average precision of pixels within an image; both",
            f"are means over images. {SIDE} px take 16 tiles; {LARGER[-1]} px are read at half their size,",
            "100 tiles. Alarm: share of images with more contrast than all but 1 % of the photographs of the",
            "other folds, and its 95 % interval (Wilson). Contrast was chosen among many statistics on the",
            "first 12 composites of each row, with tiles side by side, and its greatest share of the map on",
            "all of them: a little of what it finds is luck. The standard error of a mean of 40 is about",
            "0.05, of 10 about 0.1. Rows of 10 show the first ten images of the row above, saved",
            "otherwise; their contrast was not measured.",
            "",
            "| Composite | Region | Image | Saved as | Images | IoU | (best) | AP | Alarm |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *rows,
        ]
    )


def _alarms(entry: CompositeFigures) -> str:
    if entry["alarms"] is None or entry["interval"] is None:
        return "-"
    low, high = entry["interval"]
    return f"{100 * entry['alarms']:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def _compared(card: LocalizerCard) -> str:
    figures: tuple[Figure, ...] = ("iou", "iou_tuned", "ap")
    rows = [
        f"| {method} | "
        + " | ".join(_two(_mean(card, method, key, kind)) for kind in WITH_REGIONS for key in figures)
        + " |"
        for method in METHODS
    ]
    return "\n".join(
        [
            "## Beside what there is without it",
            "",
            "The same composites, as JPEG 95; means over the sizes above, each counting the same. A grid of",
            "rine-b16's window scores is drawn as `sidscan inspect` draws it (the first images",
            "only), and made",
            "of the localizer's own tiles, blended; rine-b16's heads were not fitted on these",
            "repositories, mini",
            "was. Error-level analysis compares with a JPEG of quality 90, blurs over 17 px and",
            "divides by the",
            "highest value. Where all but a fifth of an image is synthetic, a grid that marks",
            "everything has a",
            "higher IoU; it can't say where the real part is.",
            "",
            "| Map | Inserted: IoU | (best) | AP | Pasted back: IoU | (best) | AP |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *rows,
        ]
    )


def _not_synthetic(card: LocalizerCard) -> str:
    rows = [
        f"| {entry['kind']} | {_area(entry)} | {ours['images']} | {100 * ours['marked']:.0f} % "
        f"| {_alarms(entry)} |"
        for entry in card["composites"]
        if entry["kind"] not in WITH_REGIONS
        for ours in [entry["methods"][OURS]]
    ]
    return "\n".join(
        [
            "## Edits without a generator, and whole synthetic images",
            "",
            "Regions of other photographs (`spliced`), of the same (`copy-move`), filled by OpenCV",
            "(`classical inpainting`), blurred, sharpened, recoloured and so on (`retouched`): nothing in",
            "them is synthetic, and nothing should be marked. `synthetic` is a whole synthetic image, of",
            "which all should be. Their contrast was measured with tiles side by side only: of 12 each, 2",
            "spliced ones of 5 % and 1 inpainted one set off the alarm, and no other.",
            "",
            "| Image | Region| Images | Marked | Alarm |",
            "| --- | --- | --- | --- | --- |",
            *rows,
        ]
    )


def _photographs(card: LocalizerCard) -> str:
    rows = [
        f"| {row['kind']} | {row['images']} | {row['repositories']} | {100 * row['marked']:.1f} % "
        f"| {100 * row['apart']:.1f} % ({100 * row['interval'][0]:.1f} to {100 * row['interval'][1]:.1f}) "
        f"| {row['again_alarms']} of {row['again']} |"
        for row in card["photographs"]
    ]
    everything = card["photographs"][-1]
    return "\n".join(
        [
            "## Whole photographs",
            "",
            "Read twice, by decoders not fitted on their repositories. First all",
            f"{everything['images']} with tiles side by side, 224 px apart: how much is marked, and how",
            "many set off the alarm that photographs of the other folds set when read so, with its 95 %",
            "interval (Wilson). Then those with the highest contrast or the most marked, and some of the",
            f"others, drawn by lot, {everything['again']} in all, as `sidscan localize` reads them: these",
            "set the alarm, each that was drawn standing for several. From both,",
            f"{100 * everything['alarms']:.1f} % of all are estimated to set it off.",
            "",
            "| Kind | Images | Repositories | Marked | Alarm, side by side | Alarm, as `localize` reads |",
            "| --- | --- | --- | --- | --- | --- |",
            *rows,
        ]
    )


def _training(card: LocalizerCard) -> str:
    kinds = ", ".join(f"{kind} {100 * share:.0f} %" for kind, share in card["kinds"].items())
    return f"""## How it was trained

{card["tiles"]:,} composites of 224 x 224 px, made from {card["windows"]:,} labelled windows of
{card["repositories"]} public repositories:
{kinds}.
Host and donor are chosen by similar colours; shapes,
edges, sizes, colour transfer and blending vary. Both are resized and saved before, or not, by the same draw
whatever their label, and the result is saved again as JPEG 60 to 98, WebP or losslessly, some of it resized
or read at a half or a quarter of its size. So seams, colours and compression tell little of the label.
Targets are the share of synthetic content per cell of 8 px.

The decoder standardises the tokens, projects them to 64 channels, and has two 3 x 3 convolutions, the
second at twice the grid. It minimises cross-entropy plus half of (1 - soft IoU). Blocks and decoder were
chosen with decoders fitted on folds 1 to 3, on training composites of folds 4 and 5. Repositories were
dealt into five folds before, as for rine-b16; a composite is made within one fold. The shipped decoder is
fitted on all folds: no figure here measures it directly.

```
{card["train_command"]}
{card["card_command"]}
```"""


def _limits() -> str:
    return """## What was not measured

- Edits by real tools: inpainting by diffusion models, generative fill, face swaps. Such tools fit the
  content to its surroundings, and some pass the whole image through an autoencoder, so that nothing in it
  stays as it was.
- Masks drawn around objects: shapes here are random.
- Images that went through several platforms; screenshots; prints.
- Generators newer than those of the training, and OpenAI's own file of the encoder.
- Images smaller than a tile."""


def _sources(card: LocalizerCard) -> str:
    return f"""## Data

The windows are those of rine-b16 (its card lists all {card["repositories"]} repositories with licences and
folds; localizer_b16.json repeats the list). None is redistributed."""


def _is(entry: CompositeFigures, kind: str, condition: str) -> bool:
    return entry["kind"] == kind and entry["condition"] == condition


def _area(entry: CompositeFigures) -> str:
    return "whole" if entry["area"] is None else f"{100 * entry['area']:g} %"


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"
