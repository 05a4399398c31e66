"""DeCLIP: CLIP's patch features decoded into maps of manipulated regions (WACV 2025, arXiv 2409.08849)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sidscan.errors import ModelError
from sidscan.models.catalog import CatalogEntry, Preprocess, TileSpec, find_entry
from sidscan.models.families import LocalizerFamily, TensorSize, register
from sidscan.models.families.clip import CLIP_MEAN, CLIP_STD
from sidscan.models.origins import Unpinned
from sidscan.models.shapes import DeclipShape
from sidscan.util.bibtex import Citation

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from sidscan.models.heads.decoder import Decoder
    from sidscan.models.localizer_checkpoints import LocalizerCheckpoint

SIDE = 256  # pixels of a map
WIDTHS = (512, 256, 128, 64)  # of the four blocks of convolutions
KERNEL = 5
VIT, RESNET, BOTH = "CLIP:ViT-L/14", "CLIP:RN50", "CLIP:ViT-L/14,RN50"
ARCHS = (VIT, RESNET, BOTH)
DECODERS = ("linear", "attention", "conv-4", "conv-12", "conv-20")


_URL = "https://storage.googleapis.com/bitdefender_ml_artifacts/declip/"
_TERMS = "https://creativecommons.org/licenses/by-nc-sa/4.0/"
_COUNTER = ".num_batches_tracked"
_LICENCE = "CC BY-NC-SA 4.0"
_NOTICE = (
    "DeCLIP's authors publish their code under CC BY-NC-SA 4.0, which forbids commercial use, and state no "
    "other licence for the weights. They publish no digests: the first file that you install is pinned."
)
_TRAINED_ON = {  # the published file's name for it: what it is
    "pluralistic": "Pluralistic",
    "lama": "LaMa",
    "repaint-p2-9k": "RePaint-P2",
    "ldm": "RePaint-LDM",
    "cocosd": "COCO-SD",
}
_PAPER = Citation(
    key="smeu2025declip",
    kind="inproceedings",
    title="DeCLIP: Decoding CLIP Representations for Deepfake Localization",
    authors=("Smeu, Ștefan", "Oneață, Elisabeta", "Oneață, Dan"),
    year=2025,
    venue="Proceedings of the IEEE/CVF Winter Conference on Applications of Computer Vision (WACV)",
    arxiv="2409.08849",
)


def _entries() -> Iterator[CatalogEntry]:
    """The nine published files: five on ViT-L/14, four on ViT-L/14 and RN50."""
    for trained_on in _TRAINED_ON:
        yield _entry(trained_on, "", VIT, "backbone_VIT/ViT_layer20", 1024, 209_000_000, 627_000_000)
    for trained_on in list(_TRAINED_ON)[:4]:
        folder = "backbone_VIT%2BRN50/ViT_layer20%2BRN50_layer3"
        yield _entry(trained_on, "fusion-", BOTH, folder, 2048, 261_500_000, 784_000_000)


def _entry(
    trained_on: str, prefix: str, arch: str, place: str, channels: int, size: int, download_size: int
) -> CatalogEntry:
    reads = "ViT-L/14" if arch == VIT else "ViT-L/14 and RN50"
    name = f"declip-{prefix}{trained_on.removesuffix('-9k')}"
    return CatalogEntry(
        name=name,
        kind="localizer",
        summary=f"DeCLIP on CLIP {reads}, trained on {_TRAINED_ON[trained_on]}: maps of edited regions",
        licence=_LICENCE,
        provenance="github.com/bit-ml/DeCLIP @ 09d4293; Smeu et al., WACV 2025, arXiv 2409.08849",
        origin=Unpinned(
            url=f"{_URL}{place}_conv-20_{trained_on}.pth",
            download_size=download_size,
            file=f"{name}.safetensors",
        ),
        size=size,
        encoder="clip-vit-l14",
        second_encoder=None if arch == VIT else "clip-rn50",
        preprocess=Preprocess(
            crop=SIDE,
            mean=CLIP_MEAN,
            std=CLIP_STD,
            about="tiles of 256x256 original pixels, or the whole image squashed, resized to 224x224 "
            "(bilinear, antialiased), as published; CLIP mean/std",
        ),
        shape=DeclipShape(arch, 20, "conv-20", channels),
        notice=_NOTICE,
        terms=_TERMS,
    )


@register
class DeclipFamily(LocalizerFamily):
    """Decoders under the published names: ``fc.*``; ``att1.*`` and ``att2.*`` of the attention decoder."""

    name = "declip"
    papers = (_PAPER,)
    # Trained on images of 256 px, resized to 224: a tile of 256 native pixels is seen at the same scale.
    tile = TileSpec(side=SIDE, read=224, stride=128)
    entries = tuple(_entries())

    def untrained(self, config: Mapping[str, Any]) -> Decoder:
        """The decoder of a `DeclipShape`, whose fields ``config`` has."""
        from sidscan.models.heads.declip import make_decoder

        shape = shape_of(config)
        return make_decoder(shape.decoder, shape.arch, shape.layer, shape.channels)

    def from_published(self, path: Path, entry: CatalogEntry) -> LocalizerCheckpoint:
        """The decoder in a file as the published code saves it, without the state of its optimiser.

        Raises:
            ModelError: the file states another layer or decoder than ``entry``, or its tensors are not those
                of that decoder: one is missing or unexpected, or of another size.
        """
        from sidscan.models.digests import hash_file
        from sidscan.models.state_dicts import read_training_state
        from sidscan.models.torch_archive import shown

        shape = _shape(entry)
        tensors, stated = read_training_state(path)
        found = (str(stated.get("feature_layer")), str(stated.get("decoder_type")))
        wanted = (f"layer{shape.layer}", shape.decoder)
        if found != wanted:
            raise ModelError(
                f"{path.name} holds a decoder {shown(found[1])} on {shown(found[0])}; "
                f"{entry.name} is {wanted[1]} on {wanted[0]}",
                "Name the model that it is with --as.",
            )
        facts = {
            "model": entry.name,
            "published_file": path.name.removesuffix(".part"),
            "published_sha256": hash_file(path, "sha256")["sha256"],
        }
        return self._checkpoint(tensors, entry, facts)

    def from_checkpoint(self, path: Path, entry: CatalogEntry) -> LocalizerCheckpoint:
        """The same of a file that sidscan made of it; what its metadata says is written anew."""
        from sidscan.models.localizer_checkpoints import read_facts
        from sidscan.models.state_dicts import read_arrays

        facts = read_facts(path)
        kept = {name: str(facts.get(name, "")) for name in ("model", "published_file", "published_sha256")}
        if kept["model"] != entry.name or not re.fullmatch("[0-9a-f]{64}", kept["published_sha256"]):
            raise ModelError(f"{path.name} does not say what it was made of", "Import the published file.")
        return self._checkpoint(read_arrays(path), entry, kept)

    def _checkpoint(
        self, tensors: Mapping[str, NDArray[Any]], entry: CatalogEntry, facts: Mapping[str, str]
    ) -> LocalizerCheckpoint:
        from sidscan.models.localizer_checkpoints import LocalizerCheckpoint

        shape = _shape(entry)
        check_decoder(tensors, shape)
        return LocalizerCheckpoint(
            tensors=dict(tensors),
            family=self.name,
            config=asdict(shape),
            encoders={name: find_entry(name).pin.digest for name in entry.encoders},
            tile=self.tile,
            licence=entry.licence,
            facts=facts,
        )


def _shape(entry: CatalogEntry) -> DeclipShape:
    assert isinstance(entry.shape, DeclipShape), "every entry of the family states it"
    return entry.shape


def check_decoder(tensors: Mapping[str, NDArray[Any]], shape: DeclipShape) -> None:
    """Whether these are all tensors of a decoder of this shape, and no others.

    Raises:
        ModelError: one is missing, unexpected, of another size, not floating point or not finite.
    """
    from sidscan.models.state_dicts import check_tensors

    counters = {name: tensor for name, tensor in tensors.items() if name.endswith(_COUNTER)}
    weights = {name: tensor for name, tensor in tensors.items() if name not in counters}
    check_tensors(cast("Mapping[str, Tensor]", weights), decoder_sizes(shape), f"DeCLIP decoder ({shape})")
    expected = {name.replace(".running_mean", _COUNTER) for name in weights if name.endswith(".running_mean")}
    if counters.keys() != expected or any(c.shape != () or c.dtype.kind != "i" for c in counters.values()):
        raise ModelError(
            "these weights are not a DeCLIP decoder: its counters of batches are not as published"
        )


class Upsampling(NamedTuple):
    """Where convolutional decoders enlarge their maps.

    Attributes:
        doubles: which of the four blocks end in doubling the side.
        fixed: whether the map is brought to 256 x 256 before the last convolution.
    """

    doubles: tuple[bool, bool, bool, bool]
    fixed: bool


def upsampling(arch: str, layer: int) -> Upsampling:
    """As the published code has it.

    Maps of a residual network's first two stages are large already: one or two doublings are left out. The
    code asks for the name of the layer, so that blocks 1 and 2 of a transformer beside it count, too.
    """
    if arch == VIT:
        return Upsampling((True, True, True, True), False)
    skipped = {1: 2, 2: 1}.get(layer, 0)
    return Upsampling((skipped < 1, skipped < 2, True, True), True)


def decoder_sizes(shape: DeclipShape) -> dict[str, TensorSize]:
    """The tensors of a decoder, by their published names, without the counters of batch normalisation."""
    if shape.decoder == "linear":
        return _linear("fc.0", 1, shape.channels)
    if shape.decoder == "attention":
        blocks = [size for block in ("att1", "att2") for size in _block_sizes(block, shape.channels).items()]
        return dict(blocks) | _linear("fc.0", 1, shape.channels)
    sizes: dict[str, TensorSize] = {}
    position, inputs = 0, shape.channels
    doubles, fixed = upsampling(shape.arch, shape.layer)
    depth = int(shape.decoder.removeprefix("conv-")) // len(WIDTHS)
    for width, doubled in zip(WIDTHS, doubles, strict=True):
        for _ in range(depth):
            sizes |= _conv(position, width, inputs)
            for part in ("weight", "bias", "running_mean", "running_var"):
                sizes[f"fc.{position + 1}.{part}"] = (width,)
            inputs, position = width, position + 3  # a convolution, its normalisation, a ReLU
        position += doubled
    return sizes | _conv(position + fixed, 1, inputs)


def _conv(position: int, outputs: int, inputs: int) -> dict[str, TensorSize]:
    name = f"fc.{position}"
    return {f"{name}.weight": (outputs, inputs, KERNEL, KERNEL), f"{name}.bias": (outputs,)}


def _linear(name: str, outputs: int, inputs: int) -> dict[str, TensorSize]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _block_sizes(name: str, width: int) -> dict[str, TensorSize]:
    """A residual block of CLIP's transformer."""
    sizes: dict[str, TensorSize] = {
        f"{name}.attn.in_proj_weight": (3 * width, width),
        f"{name}.attn.in_proj_bias": (3 * width,),
    }
    sizes |= _linear(f"{name}.attn.out_proj", width, width)
    sizes |= _linear(f"{name}.mlp.c_fc", 4 * width, width) | _linear(f"{name}.mlp.c_proj", width, 4 * width)
    for norm in ("ln_1", "ln_2"):
        sizes |= {f"{name}.{norm}.{part}": (width,) for part in ("weight", "bias")}
    return sizes


def shape_of(config: Mapping[str, Any]) -> DeclipShape:
    """The shape that ``config`` describes.

    Raises:
        ModelError: a field is missing, or there is no such decoder.
    """
    try:
        shape = DeclipShape(**config)
    except TypeError as error:
        raise ModelError(f"this does not describe a decoder of DeCLIP: {error}") from error
    numbers = (shape.layer, shape.channels)
    if not all(type(number) is int for number in numbers) or shape.channels < 1:
        raise ModelError("this does not describe a decoder of DeCLIP: layer and channels are whole numbers")
    if shape.arch not in ARCHS or shape.decoder not in DECODERS:
        raise ModelError(
            f"DeCLIP has no {shape.decoder} decoder on {shape.arch}",
            f"Known are {', '.join(DECODERS)} on {'; '.join(ARCHS)}.",
        )
    if shape.arch != VIT and not shape.decoder.startswith("conv-"):
        raise ModelError(f"DeCLIP's {shape.decoder} decoder reads {VIT} alone, not {shape.arch}")
    first, last = (1, 4) if shape.arch == RESNET else (0, 23)
    if not first <= shape.layer <= last:
        raise ModelError(f"{shape.arch} has no layer{shape.layer}: it has layer{first} to layer{last}")
    return shape
