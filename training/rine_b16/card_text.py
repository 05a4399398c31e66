"""rine_b16.json -> rine_b16.md: the model card, rendered by a pure function."""

from __future__ import annotations

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
from sidscan.training.windows.figure_types import FalsePositives

from .card_format import ComparedFigures, EnsembleCard
from .cautions import ART, FLAGGED, MAX_FALSE_POSITIVES, MIN_IMAGES, MIXED, is_above

NAMES = {"clean": "as they are", "jpeg75": "saved again as JPEG, quality 75"}
COMPARED_NAMES = {"clean": "as they are", "jpeg75": "JPEG 75", "half": "half size"}
SHORT_NAMES = {"clean": "as they are", "jpeg75": "JPEG 75"}
PROBE_NAMES = {"clean": "ten crops", "centre": "centre crop", "jpeg75": "ten crops, saved again as JPEG 75"}


def render_card(card: EnsembleCard) -> str:
    """The whole card, Markdown."""
    sections = [
        _head(card),
        _training(card),
        _figures(card),
        _comparison(card),
        _effort(card),
        _hard(card),
        _cautions(card),
        _limits(card),
        _sources(card),
    ]
    return "\n\n".join(sections) + "\n"


def _head(card: EnsembleCard) -> str:
    rule = card["abstention"]
    return f"""# Model card: {card["name"]}, version {card["version"]}

<!-- rendered from rine_b16.json by: {card["card_command"]} -->

This is sidscan's default detector of synthetic (machine-generated) images where its encoder is installed. It
is RINE (Koutlis & Papadopoulos, ECCV 2024) on OpenAI's CLIP ViT-B/16: a small head of ours, with a linear
probe beside it, that reads the CLS token of every block of a frozen encoder. It ranks images for a person to
look at. Its score does not prove anything about an image.

- **Weights**: `rine_b16.safetensors` ({card["parameters"]:,} numbers), sha256 `{card["sha256"]}`
- **Encoder**: `{card["training"]["encoder"]}`. Head, threshold, cascade and all figures here are of this
  encoder, computed in bfloat16. OpenAI's own file, `clip-vit-b16`, differs from it by the rounding of int8
  weights, so scores on it differ a little: docs/log/rine_b16.md estimates by how much, and what bfloat16
  changes. Reports name the encoder and the precision that were used.
- **Licences**: the head is Apache-2.0 and trained by this project, which redistributes no image. CLIP's
  weights are MIT. OpenAI's model card says of CLIP: "Any deployed use case of the model - whether commercial
  or not - is currently out of scope." Whoever uses this detector for more than research has to weigh that.
- **Score**: the sigmoid of the mean logit over the crops of 224x224 that were computed: the centre, four
  corners, and their mirror images (see "Effort"). Images are never resized; smaller ones are padded with
  black.
- **In short**: {_in_short(card)}
- **Threshold**: {card["threshold"]}, set at: {card["threshold_made"]}.
- **Inconclusive**: images narrower or lower than {rule["side"]} px (`small`), with less than
  {100 * rule["detail"]:g} % of pixels that differ from a neighbour (`flat`), or of a JPEG quality below
  {rule["quality"]} (`compressed`).
- **Intended use**: sort an archive so that people look first at the images that are most likely synthetic. Do
  not use it to accuse anyone, as the only evidence, or for moderation without a person's decision."""


def _in_short(card: EnsembleCard) -> str:
    """What an archivist wants to know first."""
    clean, saved = card["whole"]["clean"], card["whole"]["jpeg75"]
    kinds = clean["real_kinds"]
    above, above_saved = round(100 * clean["fpr"]), round(100 * saved["fpr"])
    return f"""of 100 synthetic images, {100 * clean["tpr"]:.0f} score above the threshold as they are, and
  {100 * saved["tpr"]:.0f} after being saved again as JPEG 75. Of 100 real images, {above} and
  {above_saved} do. As they are, of 100 untouched camera images {_of_100(kinds, "camera_original")} do, and of
  100 drawings, paintings and renderings by people {_of_100(kinds, "human_art")}."""


def _of_100(kinds: Mapping[str, FalsePositives], kind: str) -> str:
    return f"{100 * kinds[kind]['fpr']:.0f}" if kind in kinds else "an unknown number"


def _training(card: EnsembleCard) -> str:
    training, config = card["training"], card["training"]["config"]
    seeds = config["seeds"]
    assert isinstance(seeds, list)
    heads = "A RINE head" if len(seeds) == 1 else f"{len(seeds)} RINE heads of different seeds"
    return f"""## How it works and how it was trained

The CLS token after every block's `ln_2` is standardised. {heads}
(d' = {config["proj_dim"]:g}, q = {config["num_proj_layers"]:g}) reads it: Q1, the Trainable Importance
Estimator per channel, Q2, classifier. So does a linear probe on all blocks. The logit is a weighted mean of
theirs; its slope and bias are fitted on repositories left out of the fit.

The heads minimise cross-entropy plus {config["xi"]:g} times the supervised contrastive loss; the probe is
logistic regression with a ridge of {config["ridge"]:g}. Every training window is seen as
{len(training["views"])} views ({", ".join(training["views"])}). A random view is one sequence of random
degradations (resizing, blur, sharpening, recolouring, JPEG once or twice, WebP) and a random crop. Both
labels go through the same procedure, so that compression and size can less stand in for the label. An upload
view is a random crop at the image's own size; 60 % of them are saved once more as JPEG 60 to 90. A repository
of n windows weighs as the square root of n.

The repositories were dealt into five folds before any training. The figures below are of heads fitted on
four folds that score the fifth, in turn. The shipped head is fitted on all five folds, so no figure here
measures it directly. On new repositories, expect it to do about as well as the average fold, not as the best.

These commands need an editable install of the clone, `pip install -e '.[train]'`:

```
sidscan models pull clip-vit-b16-q8
python -m sidscan.training.windows.gather --out MORE --originals
python -m sidscan.training.windows.gather --list images_2 --out MORE2 --originals
python -m sidscan.training.windows.whole_images --out WHOLE
{training["command"]}
{card["card_command"]}
```

DIR are corpora which this project may not redistribute. The `gather` commands cut windows, and the next one
copies whole images, again from public repositories. `images.csv`, `images_2.csv` and `whole_images.csv` in
`training/windows/` list them."""


def _figures(card: EnsembleCard) -> str:
    clean, windows = card["whole"]["clean"], card["windows"]["clean"]
    return f"""## Figures

Everything is scored by heads that were not fitted on its repository. Intervals (95 %) are from a bootstrap
over whole repositories. "Found" is the share of synthetic images above a threshold. "At 5 % false positives"
takes the threshold from the photographs of the same row; "the threshold" is the shipped one. It was chosen on
the whole images as they are, so their false positives at it follow from the choice; all other rows do not.
The settings of the fit were chosen by looking at figures of these folds, so all figures flatter a little.

"Photographs" are all real images here; some kinds of them are drawn or rendered by people, as the tables by
kind say.

Whole images, ten crops ({clean["real"]} photographs, {clean["synthetic"]} synthetic images). The accuracy at
the threshold is {percent(card["metrics"]["accuracy"])} and the average precision is
{card["metrics"]["average_precision"]:.3f}.

{conditions_table(card["whole"], NAMES)}

The centre crop of the same images. `--effort fast` scores it at the same threshold, so more photographs are
above it:

{conditions_table(card["centre"], NAMES)}

All {windows["real"]} windows of photographs and {windows["synthetic"]} synthetic windows, centre crop:

{conditions_table(card["windows"], NAMES)}

### By fold of windows

{folds_table(card["per_fold"], SHORT_NAMES)}

### By generator, whole images

Generators are named as repositories state them, and grouped. "Found" is at the threshold. Figures of few
images, or of images from few repositories, are uncertain.

{generators_table(card["whole"], SHORT_NAMES)}

### By generator, windows

{generators_table(card["windows"], SHORT_NAMES)}

### False positives by kind of photograph, whole images

{_kinds_above(card)}

{false_positives_table(card["whole"], SHORT_NAMES, "real_kinds", "kind")}

### False positives by kind of photograph, windows

{false_positives_table(card["windows"], SHORT_NAMES, "real_kinds", "kind")}"""


def _comparison(card: EnsembleCard) -> str:
    windows, images = card["comparison"]["windows"], card["comparison"]["images"]
    half, first = windows["half"]["rine-b16"], images["clean"]["rine-b16"]
    return f"""## Beside `mini` and a plain probe

All three read the same crops, and each was fitted to the same windows without the fold of a repository. The
plain probe is a ridge discriminant on the CLS tokens after `ln_2`, fitted to the windows as they are and as
JPEG 75. It is not the probe inside this detector, which alone does as well as with the RINE head beside it
(docs/log/rine_b16.md). `mini` is its method, fitted to the windows and views of this detector, and one crop
of each is read. The shipped `mini` was fitted to fewer windows, in eleven copies each, and reads ten crops.
Cells hold the AUROC, its 95 % interval, and what is found where 5 % of the photographs of the same cell are
above. The last column is the mean AUROC of synthetic repositories, in the order of the detectors.

The centre crop of windows. As they are and as JPEG 75, these are all. At half size, with a black border, they
are {half["real"]} windows of photographs and {half["synthetic"]} synthetic ones, at most five of each
repository and label:

{_comparison_table(windows)}

The centre crop of some whole images ({first["real"]} photographs and {first["synthetic"]} synthetic images,
one of each repository and label), changed on their way. "Screenshot" makes larger images fit into 1440 x 800
px. "Social media" makes larger ones fit into 1080 x 1080 px and saves all as JPEG 70:

{_comparison_table(images)}

By generator, the centre crop of windows as they are, AUROC and found at 5 % false positives:

{_comparison_generators(windows["clean"])}"""


def _comparison_table(figures: Mapping[str, Mapping[str, ComparedFigures]]) -> str:
    """One row per condition, one column per detector."""
    rows = [
        [
            COMPARED_NAMES.get(condition, condition),
            *(_auroc_and_found(detector) for detector in detectors.values()),
            " / ".join(f"{detector['auroc_of_repositories']:.3f}" for detector in detectors.values()),
        ]
        for condition, detectors in figures.items()
    ]
    return table(["images", *figures["clean"], "mean AUROC of synthetic repositories"], rows)


def _auroc_and_found(figures: ComparedFigures) -> str:
    low, high = figures["auroc_interval"]
    return f"{figures['auroc']:.3f} ({low:.3f} to {high:.3f}), {percent(figures['tpr_at_5'])}"


def _comparison_generators(detectors: Mapping[str, ComparedFigures]) -> str:
    """One row per family of generators."""
    first, *_ = detectors.values()
    rows = []
    for name, rates in first["generators"].items():
        of_family = [detector["generators"][name] for detector in detectors.values()]
        cells = [f"{figures['auroc']:.3f}, {percent(figures['tpr_at_5'])}" for figures in of_family]
        rows.append([name, rates["synthetic"], *cells])
    return table(["generator", "n", *detectors], rows)


def _hard(card: EnsembleCard) -> str:
    names = {name: name for name in card["hard"]}
    (first, *_) = card["hard"].values()
    return f"""## Where it abstains

The rule is stated at the top. It is that of `mini`; small and strongly compressed images were measured,
images of little detail were not. These figures of {first["real"]} windows of photographs and
{first["synthetic"]} synthetic ones, at most 10 of a repository and label, stand behind it. "side N" is the
centre square of N px, padded with black; "jpeg N" is the window saved again with that quality. Centre crop:

{conditions_table(card["hard"], names)}"""


def _kinds_above(card: EnsembleCard) -> str:
    """The kinds of photographs with too many false positives, by name."""
    kinds = card["whole"]["clean"]["real_kinds"]
    above = [
        f"{name} ({percent(kind['fpr'])} of {kind['n']})" for name, kind in kinds.items() if is_above(kind)
    ]
    return (
        f"Kinds of {MIN_IMAGES} images or more with over {100 * MAX_FALSE_POSITIVES:g} % false positives: "
        f"{', '.join(above) or 'none'}."
    )


def _effort(card: EnsembleCard) -> str:
    cascade = card["cascade"]
    rows = [
        (
            SHORT_NAMES[name],
            f"{figures['crops']['real']:.2f}, {figures['crops']['synthetic']:.2f}",
            percent(figures["kept"]),
            percent(figures["changed"]),
            f"{figures['rates']['auroc']:.3f}",
            percent(figures["rates"]["tpr"]),
            percent(figures["rates"]["fpr"]),
        )
        for name, figures in card["effort"].items()
    ]
    header = (
        "whole images",
        "crops of a photograph, of a synthetic image",
        "detections of ten crops kept",
        "images that change sides",
        "AUROC",
        "found",
        "false positives",
    )
    return f"""## Effort

With `--effort normal`, the corners follow the centre crop where its logit is above the threshold's less
{cascade["centre"]:g}; the mirror images follow where the mean of these five is within
{cascade["mirrors"]:g} of it. Both distances were chosen on the whole images as they are; those saved as
JPEG 75 had no part in it. Beside `--effort full`, which computes all ten crops of every image:

{table(header, rows)}"""


def _cautions(card: EnsembleCard) -> str:
    probe, told = card["probe"]["clean"], card["told"]
    rules = [
        (
            f"`{caution['kind']}`",
            caution["images"],
            percent(caution["false_positive_rate"]),
            told[caution["kind"]]["real"],
            _percent_or_none(told[caution["kind"]]["fpr"]),
            told[caution["kind"]]["synthetic"],
            _percent_or_none(told[caution["kind"]]["tpr"]),
        )
        for caution in card["cautions"]
    ]
    header = (
        "caution",
        "real images of the kind",
        "above the threshold",
        "real images that get the word",
        "above the threshold",
        "synthetic images that get it",
        "above the threshold",
    )
    return f"""## Cautions

A row's `cautions` say that an image looks like a kind of real image of which more than
{100 * MAX_FALSE_POSITIVES:g} % are above the threshold. They have no part in score, threshold and evidence.
`lossless` is what the file is; `drawn` is what a probe says. Whole images, ten crops, as they are:

{table(header, rules)}

`drawn` comes from a linear probe on the CLS tokens that the head reads, averaged over the crops that were
computed. It was fitted to windows of real images alone, art by people (`{ART}`) against photographs; kind
`{MIXED}` was left out, because it holds paintings, too. The figures here are of probes that were not fitted
on the repository of an image. The probe's threshold, {_probe_threshold(card)}, is the level that
{100 * FLAGGED:g} % of the photographs exceed, a repository of n weighing as the square root of n. The share
was set beforehand, the level on these images. The AUROC is {probe["auroc"]:.3f} ({probe["drawn"]} images of
art, {probe["photographs"]} photographs), and {percent(probe["found"])} of the art are above that level. The
AUROC of the centre crop alone is {card["probe"]["centre"]["auroc"]:.3f}, and after JPEG 75 that of ten
crops is {card["probe"]["jpeg75"]["auroc"]:.3f}. So the probe misses some art; and it tells what looks drawn,
not who drew it. Shares of whole images that get the word:

{_probe_table(card)}"""


def _percent_or_none(share: float | None) -> str:
    return "-" if share is None else percent(share)


def _probe_threshold(card: EnsembleCard) -> str:
    thresholds = [caution["threshold"] for caution in card["cautions"] if caution["threshold"] is not None]
    return f"{thresholds[0]:g}" if thresholds else "not used"


def _probe_table(card: EnsembleCard) -> str:
    """One row per kind of real images, one for the synthetic."""
    rows = [
        [name, kind["n"], *(percent(card["probe"][how]["kinds"][name]["flagged"]) for how in PROBE_NAMES)]
        for name, kind in card["probe"]["clean"]["kinds"].items()
    ]
    return table(["whole images", "n", *PROBE_NAMES.values()], rows)


def _limits(card: EnsembleCard) -> str:
    return f"""## What it cannot see

- **Evidence that is gone.** Strong compression, downscaling and screenshots remove what it reads.
- **Local edits.** A score covers one, five or ten crops of the image (see "Effort"). A small synthetic
  patch in a photograph changes it little, or lies outside of them.
- **Generators far from the training ones**, and images made to deceive detectors. The weakest rows above name
  some.
- **Photographs far from the training ones.** The threshold does not hold its rate everywhere.
  {_kinds_above(card)}
  The column `cautions` says which images look like one (see "Cautions"). Measure the false positives on your
  own archive (`sidscan calibrate`) before you trust it.
- The data is small, and where it comes from is partly uncertain: labels are what repositories say about
  themselves."""


def _sources(card: EnsembleCard) -> str:
    return f"""## Data by source

The data are windows of images in public repositories, used for research. None is redistributed.

{sources_table(card["sources"])}"""
