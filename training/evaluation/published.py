"""Every figure the authors of RINE published, read from the result files of github.com/mever-team/rine.

``published.csv`` holds one row per run and metric, in percent, rounded to three decimals (to more only where
one decimal would come out otherwise): 288 runs of the
grid (paper, section 4.2), 36 of more epochs (5.4), 12 of training sets of another size (5.5), 9 ablations, 24
trained on latent diffusion (Synthbuster, 5.8) and 15 under perturbations (5.6).
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from sidscan.errors import UsageError

METRICS = ("acc", "ap")


@dataclass(frozen=True)
class PublishedRun:
    """One row of a table of the paper.

    Attributes:
        classes: ProGAN classes trained on; 0 for latent diffusion.
        variant: what the study varied: fraction of the training set, part left out, perturbation.
        figures: set -> (accuracy, average precision), fractions.
    """

    study: str
    training_set: str
    backbone: str
    classes: int
    xi: float
    q: int
    d_prime: int
    epochs: int
    variant: str
    figures: Mapping[str, tuple[float, float]]

    @property
    def name(self) -> str:
        """What ``--compare`` calls it, e.g. ``grid:ViT-L/14:4:0.2:2:1024``."""
        shape = f"{self.xi:g}:{self.q}:{self.d_prime}"
        return {
            "grid": f"grid:{self.backbone}:{self.classes}:{shape}",
            "epochs": f"epochs:{self.backbone}:{self.classes}:{shape}:{self.epochs}",
            "dataset_size": f"dataset_size:{self.classes}:{self.variant}",
            "ablations": f"ablations:{self.classes}:{self.variant}",
            "diffusion": f"diffusion:{self.backbone}:{shape}:{self.epochs}",
            "perturbations": f"perturbations:{self.classes}:{self.variant}",
        }[self.study]

    def mean(self) -> tuple[float, float]:
        """Accuracy and average precision, averaged over the run's sets; fractions."""
        count = len(self.figures)
        accuracies, precisions = zip(*self.figures.values(), strict=True)
        return sum(accuracies) / count, sum(precisions) / count


@dataclass(frozen=True)
class Average:
    """A method's averages over the 20 sets, in percent, as the paper prints them."""

    method: str
    accuracy: float
    precision: float


COMPETITORS = (  # the paper's averages over the 20 sets; its authors' files hold none of these
    Average("Wang, p=0.1", 70.2, 84.0),
    Average("Patch-Forensics", 55.8, 74.1),
    Average("LGrad, 4-class", 79.7, 85.5),
    Average("DMID", 77.6, 93.9),
    Average("UFD", 80.9, 94.3),
)
# Configurations of the published heads, each the best of its grid by ACC + AP on the test sets themselves.
ALIASES = MappingProxyType(
    {
        "progan-1class": "grid:ViT-L/14:1:0.1:4:1024",
        "progan-2class": "grid:ViT-L/14:2:0.2:4:128",
        "progan-4class": "grid:ViT-L/14:4:0.2:2:1024",
        "ldm": "diffusion:ViT-L/14:0.4:4:1024:5",
    }
)
_BACKBONES = {"vitl14": "ViT-L/14", "vitb32": "ViT-B/32"}
_CLASSES = {
    frozenset({"horse"}): 1,
    frozenset({"chair", "horse"}): 2,
    frozenset({"car", "cat", "chair", "horse"}): 4,
}
_RECIPE = {  # of sidscan.training.rine.recipe
    *("head", "without", "xi", "layers", "projected", "epochs", "share", "lr", "batch", "reduce_at")
}
_SCHEDULE = {"lr": (1e-3,), "batch": (128,), "reduce_at": ((6, 11), [6, 11])}  # of every published run
_OF_MODEL = {f"rine-{classes}class": f"progan-{classes}class" for classes in (1, 2, 4)} | {"rine-ldm": "ldm"}


@cache
def runs() -> Mapping[str, PublishedRun]:
    """All published runs by name."""
    text = (
        resources.files("sidscan.training.evaluation").joinpath("published.csv").read_text(encoding="utf-8")
    )
    rows = list(csv.DictReader(text.splitlines()))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    found = [_run(accuracy, precision) for accuracy, precision in pairs]
    return MappingProxyType({run.name: run for run in found})


def find(name: str) -> PublishedRun:
    """A run by its name or alias.

    Raises:
        UsageError: there is none; the remedy names what there is.
    """
    known = runs()
    if ALIASES.get(name, name) in known:
        return known[ALIASES.get(name, name)]
    near = difflib.get_close_matches(name, [*ALIASES, *known], n=4, cutoff=0.3)
    raise UsageError(f"no published run is called {name!r}", f"{_offer()} Near it: {', '.join(near) or '-'}.")


def of_model(model: str, perturbation: str = "", known: str | None = None) -> PublishedRun:
    """The run that the authors' figures for a model come from: a catalog name, or one whose run is known.

    Raises:
        UsageError: nothing was published for this model, or not under this perturbation.
    """
    name = known or _OF_MODEL.get(model)
    if name is None:
        raise UsageError(f"the authors published nothing of {model}", f"Say which run. {_offer()}")
    run = find(name)
    if not perturbation:
        return run
    if run not in (find(alias) for alias in ALIASES):  # perturbed were the published heads only
        raise UsageError(f"the authors perturbed nothing for {run.name}", f"Say which run. {_offer()}")
    return find(perturbed(run, perturbation))


def of_training(encoder: str, facts: Mapping[str, Any]) -> PublishedRun | None:
    """The published run with the configuration that a checkpoint states; None if there is none.

    Args:
        encoder: its name, e.g. ``clip-vit-l14`` or a file like ``ViT-B-32.pt``.
        facts: what training recorded: ``recipe``, ``layout``, ``classes``.
    """
    recipe = facts.get("recipe", {})
    if not recipe.keys() >= _RECIPE or recipe["head"] != "rine":
        return None
    if any(recipe[name] not in values for name, values in _SCHEDULE.items()):
        return None
    plain = encoder.lower().replace("-", "").replace("/", "")
    backbone = next((name for word, name in _BACKBONES.items() if word in plain), encoder)
    count = _CLASSES.get(frozenset(facts.get("classes", ())), -1)
    shape = f"{recipe['xi']:g}:{recipe['layers']}:{recipe['projected']}"
    study = f"{backbone}:{count}:{shape}"
    if facts.get("layout") == "ldm":
        name = f"diffusion:{backbone}:{shape}:{recipe['epochs']}"
    elif recipe["epochs"] > 1:
        name = f"epochs:{study}:{recipe['epochs']}"
    else:
        name = f"grid:{study}"
    return _departure(count, recipe, name) if name in runs() else None


def classes(facts: Mapping[str, Any]) -> str:
    """What a checkpoint was trained on, as the paper's column "# classes" has it; "-" if it states nothing.

    Args:
        facts: what training recorded: ``layout``, ``classes``.
    """
    named = facts.get("classes")
    if facts.get("layout") == "ldm":
        return "LDM"
    return str(len(named)) if isinstance(named, list) and named else "-"


def _departure(count: int, recipe: Mapping[str, Any], name: str) -> PublishedRun | None:
    """The run of an ablation or of a smaller training set, both made at the best configuration alone."""
    varied = {"tie": "alpha", "none": ""}.get(recipe["without"], recipe["without"])
    if not varied and recipe["share"] == 1:
        return runs()[name]
    if name != ALIASES.get(f"progan-{count}class") or (varied and recipe["share"] != 1):
        return None
    return runs().get(f"ablations:{count}:{varied}" if varied else f"dataset_size:{count}:{recipe['share']}")


def perturbed(run: PublishedRun, perturbation: str) -> str:
    """Name of the published run under a perturbation; both readings of JPEG have the same one."""
    return f"perturbations:{run.classes}:{perturbation.removesuffix('-published')}"


def _run(accuracy: Mapping[str, str], precision: Mapping[str, str]) -> PublishedRun:
    if (accuracy["metric"], precision["metric"]) != METRICS:
        raise ValueError("published.csv: rows come in pairs, acc before ap")
    sets = list(accuracy)[list(accuracy).index("metric") + 1 :]
    return PublishedRun(
        study=accuracy["study"],
        training_set=accuracy["training_set"],
        backbone=accuracy["backbone"],
        classes=int(accuracy["classes"]),
        xi=float(accuracy["xi"]),
        q=int(accuracy["q"]),
        d_prime=int(accuracy["d_prime"]),
        epochs=int(accuracy["epochs"]),
        variant=accuracy["variant"],
        figures=MappingProxyType(
            {key: (float(accuracy[key]) / 100, float(precision[key]) / 100) for key in sets if accuracy[key]}
        ),
    )


def _offer() -> str:
    kinds: dict[str, list[str]] = {}
    for run in runs().values():
        kinds.setdefault(run.study, []).append(run.name)
    studies = "; ".join(f"{len(names)} like {names[-1]}" for names in kinds.values())
    return f"There are {', '.join(ALIASES)}; {studies}."
