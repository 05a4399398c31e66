"""Every figure that the authors of RINE published, from the result files of github.com/mever-team/rine.

``published.csv`` holds one row for each run and metric, in percent, rounded to three decimals (to more only
where one decimal would otherwise come out differently): 288 runs of the grid (paper, section 4.2), 36 of more
epochs (5.4), 12 of training sets of another size (5.5), 9 ablations, 24 trained on latent diffusion
(Synthbuster, 5.8) and 15 under perturbations (5.6).
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
from sidscan.training.common.recipe_keys import with_current_keys

PUBLISHED_METRICS = ("acc", "ap")


@dataclass(frozen=True)
class PublishedRun:
    """One row of a table of the paper.

    Attributes:
        classes: number of ProGAN classes in the training set; 0 for latent diffusion.
        variant: what the study varied: fraction of the training set, ablated part, or perturbation.
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
        """The name that ``--compare`` takes, e.g. ``grid:ViT-L/14:4:0.2:2:1024``."""
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
class MethodAverage:
    """A method's averages over the 20 sets, in percent, as the paper prints them.

    Attributes:
        model: its name in the catalog; empty if it isn't there.
    """

    method: str
    accuracy: float
    precision: float
    model: str = ""


OTHER_METHODS = (  # the paper's averages over the 20 sets; the authors' files hold none of these
    MethodAverage("Wang, p=0.1", 70.2, 84.0, "cnndet-p01"),
    MethodAverage("Patch-Forensics", 55.8, 74.1, "patch-forensics"),
    MethodAverage("LGrad, 4-class", 79.7, 85.5, "lgrad"),
    MethodAverage("DMID", 77.6, 93.9, "dmid"),
    MethodAverage("UFD", 80.9, 94.3, "ufd"),
)
# The published heads. Each is the best run of its grid by ACC + AP on the test sets themselves.
RUN_ALIASES = MappingProxyType(
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
_SCHEDULE = {"lr": (1e-3,), "batch": (128,), "lr_milestones": ((6, 11), [6, 11])}  # of every published run
_SINCE_STATED = {  # of every published run, too; recipes of sidscan 0.2 do not state them
    "dropout": (0.5,),
    "temperature": (0.07,),
    "base_temperature": (0.07,),
    "lr_divisor": (10.0,),
    "adam_betas": ((0.9, 0.999), [0.9, 0.999]),
    "adam_eps": (1e-8,),
    "blur_max_sigma": (3.0,),
    **dict.fromkeys(("blur_probability", "jpeg_probability", "mirror_probability"), (0.5,)),
    "jpeg_qualities": ((30, 100), [30, 100]),
}
_RUN_OF_MODEL = {f"rine-{count}class": f"progan-{count}class" for count in (1, 2, 4)} | {"rine-ldm": "ldm"}


@dataclass(frozen=True)
class _StatedRecipe:
    """What a checkpoint's recipe states. The fields are its current keys (`training.common.recipe_keys`)."""

    ablate: str
    xi: float
    num_proj_layers: int
    proj_dim: int
    epochs: int
    data_fraction: float


_STATED = tuple(_StatedRecipe.__dataclass_fields__)


@cache
def published_runs() -> Mapping[str, PublishedRun]:
    """All published runs by name."""
    text = (
        resources.files("sidscan.training.evaluation").joinpath("published.csv").read_text(encoding="utf-8")
    )
    rows = list(csv.DictReader(text.splitlines()))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    runs = [_run(accuracy, precision) for accuracy, precision in pairs]
    return MappingProxyType({run.name: run for run in runs})


def find_run(name: str) -> PublishedRun:
    """A run by its name or alias.

    Raises:
        UsageError: no such run was published; the remedy lists what was.
    """
    runs = published_runs()
    if RUN_ALIASES.get(name, name) in runs:
        return runs[RUN_ALIASES.get(name, name)]
    near = difflib.get_close_matches(name, [*RUN_ALIASES, *runs], n=4, cutoff=0.3)
    raise UsageError(
        f"no published run is called {name!r}", f"{_available_runs()} Near it: {', '.join(near) or '-'}."
    )


def run_of_model(model: str, perturbation: str = "", known: str | None = None) -> PublishedRun:
    """The run that the authors' figures for a model come from.

    Args:
        model: a name of the catalog, or, with ``known``, any model.
        known: the name of the model's run.

    Raises:
        UsageError: nothing was published for this model, or not under this perturbation.
    """
    name = known or _RUN_OF_MODEL.get(model)
    if name is None:
        raise nothing_published({model: None})
    run = find_run(name)
    if not perturbation:
        return run
    if run not in (find_run(alias) for alias in RUN_ALIASES):  # they perturbed for the published heads only
        raise UsageError(
            f"the authors published no perturbed figures for {run.name}",
            f"Say which run. {_available_runs()}",
        )
    # Both kinds of JPEG perturbation (see `perturbations`) have the same published run.
    return find_run(f"perturbations:{run.classes}:{perturbation.removesuffix('-published')}")


def nothing_published(models: Mapping[str, UsageError | None], perturbation: str = "") -> UsageError:
    """What to say where nothing was published of any model.

    Args:
        models: by name, why nothing was; None where there are no figures at all.
    """
    if len(models) == 1 and (reason := next(iter(models.values()))):
        return reason
    *others, last = models
    names = f"{', '.join(others)} or {last}" if others else last
    under = f" under the perturbation {perturbation}" if perturbation else ""
    return UsageError(
        f"the authors published no figures for {names}{under}",
        "Figures exist for heads of RINE, on the paper's 20 sets and Synthbuster only: leave --compare out, "
        f"or say which run to compare with. {_available_runs()}",
    )


def average_of_model(model: str) -> MethodAverage | None:
    """What the paper prints of a model that is another method; None where it prints nothing."""
    return next((method for method in OTHER_METHODS if model and method.model == model), None)


def run_of_checkpoint(encoder: str, facts: Mapping[str, object]) -> PublishedRun | None:
    """The published run with the configuration that a checkpoint states; None if none was published.

    Args:
        encoder: its name, e.g. ``clip-vit-l14`` or a file like ``ViT-B-32.pt``.
        facts: what training recorded: ``recipe``, ``layout``, ``classes``.
    """
    recipe = _stated_recipe(facts)
    if recipe is None or ":" in encoder:  # a library's network: open_clip's ViT-L/14 is not OpenAI's
        return None
    plain = encoder.lower().replace("-", "").replace("/", "")
    backbone = next((name for word, name in _BACKBONES.items() if word in plain), encoder)
    classes = facts.get("classes")
    count = _CLASSES.get(frozenset(classes if isinstance(classes, (list, tuple)) else ()), -1)
    shape = f"{recipe.xi:g}:{recipe.num_proj_layers}:{recipe.proj_dim}"
    if facts.get("layout") == "ldm":
        name = f"diffusion:{backbone}:{shape}:{recipe.epochs}"
    elif recipe.epochs > 1:
        name = f"epochs:{backbone}:{count}:{shape}:{recipe.epochs}"
    else:
        name = f"grid:{backbone}:{count}:{shape}"
    return _run_of_variant(count, recipe, name) if name in published_runs() else None


def training_classes(facts: Mapping[str, object]) -> str:
    """What a checkpoint was trained on, for the paper's column "# classes"; "-" if it does not say.

    Args:
        facts: what training recorded: ``layout``, ``classes``.
    """
    classes = facts.get("classes")
    if facts.get("layout") == "ldm":
        return "LDM"
    return str(len(classes)) if isinstance(classes, list) and classes else "-"


def _stated_recipe(facts: Mapping[str, object]) -> _StatedRecipe | None:
    """A checkpoint's recipe; None unless it is complete and has the published head and schedule."""
    stored = facts.get("recipe")
    if not isinstance(stored, Mapping):
        return None
    recipe: Mapping[str, Any] = with_current_keys(stored)
    if not recipe.keys() >= {"head", *_SCHEDULE, *_STATED}:
        return None
    published = _SCHEDULE | {name: values for name, values in _SINCE_STATED.items() if name in recipe}
    if recipe["head"] != "rine" or any(recipe[name] not in values for name, values in published.items()):
        return None
    return _StatedRecipe(**{name: recipe[name] for name in _STATED})


def _run_of_variant(count: int, recipe: _StatedRecipe, name: str) -> PublishedRun | None:
    """The run itself, or that of an ablation or a smaller training set.

    The authors made the latter two with the best configuration only.
    """
    ablated = {"tie": "alpha", "none": ""}.get(recipe.ablate, recipe.ablate)
    if not ablated and recipe.data_fraction == 1:
        return published_runs()[name]
    if name != RUN_ALIASES.get(f"progan-{count}class") or (ablated and recipe.data_fraction != 1):
        return None
    variant = f"ablations:{count}:{ablated}" if ablated else f"dataset_size:{count}:{recipe.data_fraction}"
    return published_runs().get(variant)


def _run(accuracy: Mapping[str, str], precision: Mapping[str, str]) -> PublishedRun:
    if (accuracy["metric"], precision["metric"]) != PUBLISHED_METRICS:
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


def _available_runs() -> str:
    names: dict[str, list[str]] = {}
    for run in published_runs().values():
        names.setdefault(run.study, []).append(run.name)
    studies = "; ".join(f"{len(of_study)} like {of_study[-1]}" for of_study in names.values())
    return f"There are {', '.join(RUN_ALIASES)}; {studies}."
