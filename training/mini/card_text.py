"""mini.json -> mini.md: the model card, a pure function; this version's figures come from the JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]

CONDITION_NAMES = {
    "clean": "as they are",
    "jpeg75": "re-saved as JPEG, quality 75",
    "half": "halved width and height",
}

BEFORE = """Version 5 is version 4's recipe with more of them (it had 150
and 158). One thing is new: features of small pictures are multiplied by less than one. Settings were chosen
with the figures of all five folds in view (docs/log/detector.md), so they flatter a little; what further
pictures bring rests on no choice."""

LEAST_WINDOWS = 30  # of a source of photographs, for its false positives to be judged
ALLOWED = 0.07  # of its false positives at the threshold, as they are


def render(card: Json) -> str:
    """The whole card, Markdown."""
    sections = [
        _head(card),
        _training(card),
        _figures(card),
        _abstention(card),
        _limits(card),
        _sources(card),
    ]
    return "\n\n".join(sections) + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(str(cell).replace("|", "/") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _head(card: Json) -> str:
    training = card["training"]
    return f"""# Model card: {card["name"]}, version {card["version"]}

<!-- rendered from mini.json by: {card["card_command"]} -->

The detector of synthetic (machine-generated) images that comes with sidscan, made for laptops; it needs no
download ({card["parameters"]:,} parameters). It ranks pictures for a human look and proves nothing about one.

- **Weights**: `mini.safetensors`, sha256 `{card["sha256"]}`
- **Licence of the weights**: {card["licence"]}. Trained by this project; no picture is redistributed.
- **Score**: sigmoid of the mean logit over ten crops of 224x224 (corners, centre, mirrored). Nothing is
  resized; smaller pictures are padded with zeros, which the encoder leaves out of its statistics. Statistics
  of fewer pixels scatter more, so their features are multiplied by the share of the crop that they fill, to
  the power {training["certainty_power"]:g}.
- **In short**: {_in_short(card)}
- **Threshold**: {card["threshold"]}, made as: {card["threshold_made"]}.
- **Intended use**: sorting an archive so that people look at the likeliest pictures first. Not for
  accusing anyone, not as the only evidence, not for moderation without a person in between."""


def _training(card: Json) -> str:
    shares = sorted(card["importance"].items(), key=lambda item: -item[1])
    importance = ", ".join(f"{name} {share:.3f}" for name, share in shares)
    training = card["training"]
    share = f"{100 * training['synthetic_share']:.0f} %"
    return f"""## How it works and was trained

RINE (Koutlis & Papadopoulos, ECCV 2024) weighs evidence from every depth of an encoder. Our depths are
fixed filters at three resolutions, overlapping 8x8 DCTs of luma and chroma and differences of neighbouring
pixels, and five kinds of statistics: size and shape of the coefficients' distributions in luma and in chroma,
rhythm of second differences, patterns of three neighbouring differences of luma in units of the contrast near
them (texture), patterns of red, green and blue differences (colour). One depth more holds looks, at a quarter
and an eighth of the resolution: tones, saturation, slopes, and what a bank of fixed random filters answers.
All of them are the same for a picture and its mirror image, so of ten crops five are computed.

What is learned, in closed form: every depth's standardisation, and one linear discriminant over all
depths per school of synthesis (a training repository of synthetic pictures) against all training photographs
(covariance: {share} of the schools' pictures, the rest of photographs; penalty {training["penalty"]}), read
in standard deviations of photographs. RINE's Trainable Importance Estimator holds the importance of every
depth in each discriminant; the rest of the head is set so that a crop's evidence is the mean of what its
readings exceed {training["bar"]:g} by, and {training["consensus"]:g} times their mean; the logit's
slope and bias are fitted on training repositories left out of the readings.

Every training window went through {training["histories"]} random histories (resizing, blur, sharpening,
recolouring, JPEG once or twice, WebP, crops) and {training["copies"]} that only saved it as JPEG of
quality 60 to 90, the same for both labels, so that compression and size cannot stand in for the label.
Repositories weigh by the square root of their number of windows.

Five folds by repository, fixed before any training: the figures below are of weights fitted on four folds
and scored on the fifth, in turn. The shipped weights are fitted on all five, so nothing here measures them
directly; on new repositories they should do about as well as a fold on average, not as its best.

```
python -m sidscan.training.mini.gather --out MORE
{training["command"]}
{card["card_command"]}
```

DIR is the first corpus, which is not ours to give; MORE is cut again from the public repositories that
`training/mini/images.csv` lists, picture by picture.

Importance of the depths (statistic, resolution): {importance}."""


def _figures(card: Json) -> str:
    clean, first = card["pooled"]["clean"], card["first_corpus"]["clean"]
    header = (
        "pictures",
        "AUROC",
        "95 % interval",
        "mean AUROC of synthetic repositories",
        "found at 5 % false positives",
        "95 % interval",
        "found at the threshold",
        "false positives at the threshold",
    )
    return f"""## Figures

All {clean["real"]} photographs and {clean["synthetic"]} synthetic pictures, each scored by weights that its
repository had no part in (five folds), pooled. Intervals: bootstrap over whole repositories. "At 5 % false
positives" takes its threshold from that row's own photographs; "the threshold" is the shipped one. As they
are, the accuracy at the threshold is {_percent(card["metrics"]["accuracy"])}, the average precision
{card["metrics"]["average_precision"]:.3f}.

{_table(header, _pooled(card["pooled"]))}

Of these, the first corpus alone ({first["real"]} photographs, {first["synthetic"]} synthetic pictures), on
which version 3 had AUROC .811 / .753 / .781 and found 50 % at 5 % false positives, and version 4
.866 / .804 / .826 and 58 %:

{_table(header, _pooled(card["first_corpus"]))}

{_sides(card["half_by_side"])}

### By fold

{_folds(card["per_fold"])}

{_repositories(card)} {BEFORE}

### By generator

As repositories state it, grouped; "found" at the threshold. Few windows, or windows of few repositories, say
little: the list of sources below has how many there are.

{_generators(card["pooled"])}

### False positives by source of photographs

{_false_positives(card["pooled"], "real_kinds", "kind")}

{_false_positives(card["pooled"], "real_repositories", "repository")}"""


def _pooled(figures: Json) -> list[tuple[object, ...]]:
    return [
        (
            CONDITION_NAMES[condition],
            f"{found['auroc']:.3f}",
            "{:.3f} to {:.3f}".format(*found["auroc_interval"]),
            f"{found['auroc_of_repositories']:.3f}",
            _percent(found["tpr_at_5"]),
            "{:.0f} to {:.0f} %".format(*(100 * bound for bound in found["tpr_at_5_interval"])),
            _percent(found["tpr"]),
            _percent(found["fpr"]),
        )
        for condition, found in figures.items()
    ]


def _repositories(card: Json) -> str:
    counts = {label: sum(row["label"] == label for row in card["sources"]) for label in ("synthetic", "real")}
    both = Counter(row["repository"] for row in card["sources"])
    return (
        f"There are {counts['synthetic']} repositories with synthetic pictures and {counts['real']} with "
        f"photographs; {sum(times > 1 for times in both.values())} have both."
    )


def _sides(half: Json) -> str:
    found = "; ".join(
        f"{side} px: {one['auroc']:.3f} ({one['real']} photographs, {one['synthetic']} synthetic)"
        for side, one in half.items()
    )
    return f"""Windows of JPEG files are 320 px a side and mostly photographs, others 256 px and mostly
synthetic, so size alone tells something where all are halved. AUROC among halved windows of one size:
{found}."""


def _folds(per_fold: Json) -> str:
    rows = []
    for fold, clean in per_fold["clean"].items():
        cells: list[object] = [fold, clean["real"], clean["synthetic"]]
        for condition in CONDITION_NAMES:
            figures = per_fold[condition][fold]
            cells += [f"{figures['auroc']:.3f}", _percent(figures["tpr_at_5"]), _percent(figures["fpr"])]
        rows.append(cells)
    header = ["fold", "photographs", "synthetic"]
    for condition in CONDITION_NAMES:
        header += [f"{condition}: AUROC", "found at 5 %", "false positives at the threshold"]
    return _table(header, rows)


def _generators(metrics: Json) -> str:
    rows = []
    for name, clean in metrics["clean"]["generators"].items():
        cells: list[object] = [name, clean["synthetic"]]
        for condition in CONDITION_NAMES:
            figures = metrics[condition]["generators"][name]
            cells += [f"{figures['auroc']:.3f}", _percent(figures["tpr"])]
        rows.append(cells)
    header = ["generator", "n"]
    for condition in CONDITION_NAMES:
        header += [f"{condition}: AUROC", "found"]
    return _table(header, rows)


def _in_short(card: Json) -> str:
    """What an archivist wants to know first."""
    clean, jpeg, half = (card["pooled"][name] for name in CONDITION_NAMES)
    found, false = ([f"{100 * one[rate]:.0f}" for one in (clean, jpeg, half)] for rate in ("tpr", "fpr"))
    return f"""of 100 synthetic pictures, {found[0]} came above the threshold as they were, {found[1]} when
  saved once more as JPEG 75, {found[2]} at half their size; of 100 photographs, {false[0]}, {false[1]} and
  {false[2]}."""


def _false_positives(metrics: Json, group: str, title: str) -> str:
    rows = []
    for name, clean in metrics["clean"][group].items():
        shares = [_percent(metrics[condition][group][name]["fpr"]) for condition in CONDITION_NAMES]
        rows.append([name, clean["n"], *shares])
    return _table([title, "n", *CONDITION_NAMES], rows)


def _abstention(card: Json) -> str:
    rule = card["abstention"]
    rows = []
    for name, found in card["abstaining"].items():
        silent = found["inconclusive"]
        cells: list[object] = [name, found["windows"]]
        cells.append(f"{_percent(silent['real'])}, {_percent(silent['synthetic'])}")
        for group in ("all", "conclusive", "silent"):
            errors = found[group]
            cells += (
                ["-"]
                if errors is None
                else [f"{errors['auroc']:.3f}: {_percent(errors['fpr'])}, {_percent(errors['missed'])}"]
            )
        rows.append(cells)
    header = (
        "condition",
        "n",
        "inconclusive: photographs, synthetic",
        "all pictures: AUROC: false positives, missed",
        "those with a word",
        "the inconclusive ones",
    )
    return f"""## Where its evidence has no word

Evidence is `inconclusive`, whatever the score, where the picture is less than {rule["side"]} px wide or high
(`small`), where less than {100 * rule["detail"]:g} % of the pixels looked at differ from their
neighbour (`flat`), or where its JPEG quality is below {rule["quality"]} (`compressed`). Errors at the
threshold, by weights that had no part in a window's repository:

{_table(header, rows)}

"side N" is the square in the middle of N px, "jpeg N" saved once more with that quality, both over at most
10 windows of a repository and label. Pictures of {rule["side"]} px and more that do not fill a crop are
flagged `padded`; the rows "half" and "side 128" say how they do. Of windows from MORE, which are cut from
decoded pictures, no JPEG quality is known as they are. Windows are at most 320 px a side: whole pictures,
with their skies and walls, were not measured."""


def _beyond(card: Json) -> str:
    """Sources of photographs whose false positives are too many."""
    sources = card["pooled"]["clean"]["real_repositories"]
    judged = {name: one for name, one in sources.items() if one["n"] >= LEAST_WINDOWS}
    beyond = sorted(
        ((name, one) for name, one in judged.items() if one["fpr"] > ALLOWED),
        key=lambda item: -item[1]["fpr"],
    )
    named = ", ".join(f"{name} ({_percent(one['fpr'])} of {one['n']})" for name, one in beyond) or "none"
    return (
        f"Of {len(judged)} sources with {LEAST_WINDOWS} windows or more, {len(beyond)} are called synthetic "
        f"more often than {100 * ALLOWED:g} %: {named}."
    )


def _limits(card: Json) -> str:
    return f"""## What it cannot see

- **Meaning.** It reads statistics of small blocks: impossible hands, text and shadows say nothing to it.
- **Evidence that is gone.** Strong compression, down-scaling and screenshots remove what it reads; see the
  rows above.
- **Local edits.** A score covers ten crops of the picture; a small synthetic patch in a photograph drowns.
- **Generators far from the training ones**, and pictures made to deceive detectors.
- **Photographs far from the training ones** are called synthetic too often: the threshold does not keep its
  rate there. {_beyond(card)}
  Measure the false positives on your own archive before trusting it.
- **Some of the newest generators**, and edits of photographs by them: see the weakest rows above.
- The data is small and its provenance partly weak: labels come from what repositories say of themselves."""


def _sources(card: Json) -> str:
    rows = [
        (
            row["fold"],
            row["label"],
            row["repository"],
            row["windows"],
            ", ".join(row["what"][:6]) + (" ..." if len(row["what"]) > 6 else ""),
            row["licence"],
        )
        for row in card["sources"]
    ]
    header = ("fold", "label", "repository", "windows", "what", "licence as stated")
    return f"""## Data by source

Windows of at most 320x320 px of pictures in public repositories, used for research; none is redistributed.

{_table(header, rows)}"""
