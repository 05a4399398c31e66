"""How models are named and chosen: a name of the catalog, a checkpoint, or an exported graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from sidscan.config import SIDE
from sidscan.errors import ModelError, UsageError
from sidscan.models.catalog import CATALOG, CatalogEntry
from sidscan.models.onnx_graph import is_graph
from sidscan.models.store import Store
from sidscan.records.views import ImageView

BUNDLED_MODEL = "mini"
PREFERRED_MODEL = "rine-b16"  # its head is bundled, its encoder is not


class ModelKind(Enum):
    """What a model's name leads to."""

    CATALOG = "catalog"
    CHECKPOINT = "checkpoint"  # a file that `sidscan train` wrote
    GRAPH = "graph"  # a file that `sidscan export-onnx` wrote


@dataclass(frozen=True, slots=True)
class ModelRef:
    """One model, as somebody named it.

    Attributes:
        name: of the catalog, or a path as given.
    """

    name: str
    kind: ModelKind

    @classmethod
    def parse(cls, name: str, catalog: Mapping[str, CatalogEntry] = CATALOG) -> ModelRef:
        """What a name leads to; a name of the catalog wins over a file of that name.

        A name that is neither counts as one of the catalog, and loading it lists the names that exist.
        """
        if name in catalog:
            return cls(name, ModelKind.CATALOG)
        if is_graph(name):
            return cls(name, ModelKind.GRAPH)
        if Path(name).suffix or Path(name).exists():
            return cls(name, ModelKind.CHECKPOINT)
        return cls(name, ModelKind.CATALOG)

    @property
    def path(self) -> Path:
        """Of a file."""
        return Path(self.name)

    def __str__(self) -> str:
        return self.name


class ChoiceReason(Enum):
    """Why these models were chosen."""

    ASKED = "asked for"
    DEFAULT = "default"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The models of a run, and why these.

    Attributes:
        detail: what is missing, where another model stands in; empty else.
        remedy: how to get what is missing; empty where nothing is.
    """

    models: tuple[ModelRef, ...]
    reason: ChoiceReason
    detail: str = ""
    remedy: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the models, as given."""
        return tuple(model.name for model in self.models)

    @property
    def is_fallback(self) -> bool:
        """Whether another model stands in for the preferred one: nobody must overlook that."""
        return self.reason is ChoiceReason.FALLBACK

    def __str__(self) -> str:
        """As reports state it (``model_choice``)."""
        return f"{self.reason.value}: {self.detail}" if self.detail else self.reason.value


def choose_models(requested: Sequence[str], store: Store | None = None) -> ModelChoice:
    """The models asked for, else `PREFERRED_MODEL` where its encoder is installed, else `BUNDLED_MODEL`.

    A folder stands for the checkpoints in it.

    Raises:
        ModelError: a folder holds no checkpoint, or a name is an encoder's or a localizer's.
    """
    store = store or Store()
    if requested:
        names = [name for asked in requested for name in _checkpoints_in(asked, store)]
        _check_detectors(names, store.catalog)
        models = [ModelRef.parse(name, store.catalog) for name in dict.fromkeys(names)]
        return ModelChoice(tuple(models), ChoiceReason.ASKED)
    needed = [entry.name for entry in store.needed([PREFERRED_MODEL])]
    missing = [name for name in needed if not store.installed_or_stand_in(name)]
    if not missing:
        return ModelChoice((ModelRef(PREFERRED_MODEL, ModelKind.CATALOG),), ChoiceReason.DEFAULT)
    what = PREFERRED_MODEL if PREFERRED_MODEL in missing else f"{missing[0]}, which {PREFERRED_MODEL} reads,"
    return ModelChoice(
        (ModelRef(BUNDLED_MODEL, ModelKind.CATALOG),),
        ChoiceReason.FALLBACK,
        detail=f"{what} is not installed",
        remedy=f"`sidscan models pull {PREFERRED_MODEL}` installs it; {PREFERRED_MODEL} finds more",
    )


def needed_views(models: Sequence[ModelRef], store: Store | None = None) -> tuple[ImageView, ...]:
    """The different pictures of the whole image that models read, without loading them."""
    catalog = (store or Store()).catalog
    views = (catalog[each.name].view for each in models if each.name in catalog)
    return tuple(dict.fromkeys(view for view in views if view is not None))


def check_reads_crops(models: Sequence[ModelRef], store: Store | None = None) -> None:
    """Refuse models that read whole images: a graph's input are crops of one size, which all its models read.

    Raises:
        UsageError: one does.
    """
    catalog = (store or Store()).catalog
    for entry in (catalog[each.name] for each in models if each.name in catalog):
        if entry.view is not None:
            raise UsageError(
                f"{entry.name} reads {entry.view}; graphs read crops of {SIDE} x {SIDE} pixels",
                f"Scan with PyTorch: `sidscan scan FOLDER --model {entry.name}`.",
            )


def _checkpoints_in(asked: str, store: Store) -> list[str]:
    """The checkpoints in a folder, sorted; anything else as it is."""
    if asked in store.catalog or not Path(asked).is_dir():
        return [asked]
    paths = [str(path) for path in sorted(Path(asked).glob("*.safetensors"))]
    if not paths:
        raise ModelError(f"the folder {asked} holds no checkpoint", "`sidscan train` and `study` write them.")
    return paths


def _check_detectors(names: Sequence[str], catalog: Mapping[str, CatalogEntry]) -> None:
    """Refuse encoders and localizers: they give features and maps, and no scores."""
    detectors = [entry.name for entry in catalog.values() if entry.kind == "detector"]
    for name in names:
        if name in catalog and catalog[name].kind == "localizer":
            raise ModelError(
                f"{name} is a localizer, which makes maps and gives no scores",
                f"`sidscan localize --model {name}` makes maps with it; a scan needs a detector: "
                f"{', '.join(detectors)}.",
            )
        if name in catalog and name not in detectors:
            raise ModelError(
                f"{name} is an encoder, which detectors read; it gives no scores",
                f"Name a detector: {', '.join(detectors)}.",
            )
