"""Checkpoints: files that `sidscan train` writes and ``--model FILE`` reads.

A checkpoint is a safetensors file. Its tensors are a head's, under the names that its family gives them, and
its metadata says which head and which encoder; or they are ``encoder.*`` and ``head.*`` of a detector like
the bundled one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes
from torch import Tensor

from sidscan.errors import ModelError
from sidscan.models.abstention import EVERY_IMAGE, Abstention
from sidscan.models.cascade import Cascade
from sidscan.models.cautions import Caution
from sidscan.models.families import HeadFamily, all_families
from sidscan.util.files import open_file

_FORMAT = "sidscan checkpoint 2"
_READ_FORMATS = (
    "sidscan checkpoint 1",
    _FORMAT,
)  # 1: recipes under their former keys (training/rine/recipe.py)
_KEY = "sidscan"  # of the metadata: one key, as safetensors writes several in any order
_WRITTEN_BY = "`sidscan train` writes files that --model takes; `sidscan models import` takes published ones."


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's content.

    Attributes:
        head: name of a family of heads (`sidscan.models.families`); None where the file holds an encoder like
            the bundled one beside its head.
        encoder: what the head was trained on: a catalog name, or the name of a weights file; empty for None.
        encoder_sha256: of the encoder's file, hex; empty for None.
        threshold: score at which evidence stops being weak.
        facts: everything else that training recorded: configuration, data, metrics.
        abstention: which images evidence has no word for.
        cascade: when fewer than ten crops are enough; None where the file does not say.
        cautions: kinds of real images that it calls synthetic too often.
    """

    tensors: dict[str, Tensor]
    head: str | None
    encoder: str
    encoder_sha256: str
    threshold: float
    facts: Mapping[str, Any]
    abstention: Abstention = EVERY_IMAGE
    cascade: Cascade | None = None
    cautions: tuple[Caution, ...] = ()

    def to_bytes(self) -> bytes:
        """The file; the same bytes for the same content."""
        stated: dict[str, object] = {
            "format": _FORMAT,
            "head": self.head,
            "encoder": self.encoder,
            "encoder_sha256": self.encoder_sha256,
            "threshold": self.threshold,
            "facts": self.facts,
        }
        if self.cascade is not None:
            stated["cascade"] = asdict(self.cascade)
        if self.cautions:
            stated["cautions"] = [asdict(caution) for caution in self.cautions]
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        return save_bytes(tensors, {_KEY: json.dumps(stated)})


def read_checkpoint(path: Path) -> tuple[Checkpoint, str]:
    """The checkpoint in a file, and the file's sha256 (hex): both of the same bytes.

    Raises:
        ModelError: the file can't be read or is not a checkpoint.
    """
    try:
        with open_file(path) as file:  # a pipe would hold the program up
            data = file.read()
        tensors = load_bytes(data)
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror or error}", "Check the path.") from error
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{path} is not a checkpoint: not a whole safetensors file", _WRITTEN_BY) from error
    return _checked(path, tensors, metadata), hashlib.sha256(data).hexdigest()


def _checked(path: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str]) -> Checkpoint:
    own_encoder = any(name.startswith("encoder.") for name in tensors)
    try:
        stated: Mapping[str, Any] = metadata if own_encoder else json.loads(metadata[_KEY])
        threshold = float(stated["threshold"])
        if not 0 < threshold < 1:
            raise ValueError("threshold")
        _refuse_localizer(path, stated)
        if own_encoder:
            rule = (
                Abstention.from_dict(json.loads(metadata["abstention"]))
                if "abstention" in metadata
                else EVERY_IMAGE
            )
            cascade = Cascade.from_optional(json.loads(metadata.get("cascade", "null")))
            cautions = Caution.all_from(json.loads(metadata.get("cautions", "null")))
            return Checkpoint(tensors, None, "", "", threshold, metadata, rule, cascade, cautions)
        if stated["format"] not in _READ_FORMATS or not _is_head(stated["head"]):
            raise ValueError("format")
        encoder, sha256, facts = str(stated["encoder"]), str(stated["encoder_sha256"]), dict(stated["facts"])
        cascade = Cascade.from_optional(stated.get("cascade"))
        cautions = Caution.all_from(stated.get("cautions"))
        return Checkpoint(
            tensors,
            stated["head"],
            encoder,
            sha256,
            threshold,
            facts,
            cascade=cascade,
            cautions=cautions,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} is not a checkpoint: it does not say what head it is, on which encoder", _WRITTEN_BY
        ) from error


def _refuse_localizer(path: Path, stated: Mapping[str, Any]) -> None:
    """A localizer's file (`localizer_checkpoints`) has the same suffix and another use."""
    if str(stated.get("format", "")).startswith("sidscan localizer"):
        raise ModelError(
            f"{path} is a localizer, which makes maps and gives no scores",
            f"`sidscan localize --model {path}` makes maps with it.",
        )


def _is_head(name: object) -> bool:
    """Whether a family of heads is called so."""
    return isinstance(name, str) and isinstance(all_families().get(name), HeadFamily)
