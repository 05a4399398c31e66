"""Checkpoints: detectors in files of the user's own: `sidscan train` writes, ``--model FILE`` reads them.

A checkpoint is a safetensors file. Its tensors are a head's, under the names that `heads` gives them, and its
metadata says which head and which encoder; or they are ``encoder.*`` and ``head.*`` of a detector like the
bundled one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes
from torch import Tensor

from sidscan.errors import ModelError
from sidscan.models.abstention import EVERY_PICTURE, Abstention
from sidscan.models.families.rine import HEADS, Head

FORMAT = "sidscan checkpoint 1"
KEY = "sidscan"  # of the metadata: one key, as safetensors writes several in any order
_WRITTEN_BY = "`sidscan train` writes files that --model takes; `sidscan models import` takes published ones."


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's content.

    Attributes:
        head: key of `heads.HEADS`; None where the file holds an encoder like the bundled one beside its head.
        encoder: what the head was trained on: a catalog name, or the name of a weights file; empty for None.
        encoder_sha256: of the encoder's file, hex; empty for None.
        threshold: score at which evidence stops being weak.
        facts: everything else that training recorded: configuration, data, metrics.
        abstention: which pictures evidence has no word for.
    """

    tensors: dict[str, Tensor]
    head: str | None
    encoder: str
    encoder_sha256: str
    threshold: float
    facts: Mapping[str, Any]
    abstention: Abstention = EVERY_PICTURE

    def build_head(self) -> Head:
        """The head with its weights, ready to score.

        Raises:
            ModelError: names, shapes or values are not those of the stated kind of head.
        """
        assert self.head is not None
        try:
            head = HEADS[self.head].shaped_like(self.tensors)
            head.load_state_dict(self.tensors, strict=True)
        except (KeyError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"the checkpoint's tensors are not those of a {self.head} head: {error}"
            ) from error
        return head.eval().requires_grad_(False)

    def to_bytes(self) -> bytes:
        """The file; the same bytes for the same content."""
        stated = {
            "format": FORMAT,
            "head": self.head,
            "encoder": self.encoder,
            "encoder_sha256": self.encoder_sha256,
            "threshold": self.threshold,
            "facts": self.facts,
        }
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        return save_bytes(tensors, {KEY: json.dumps(stated)})


def read(path: Path) -> tuple[Checkpoint, str]:
    """The checkpoint in a file, and the file's sha256 (hex): both of the same bytes.

    Raises:
        ModelError: the file can't be read or is no checkpoint.
    """
    try:
        data = path.read_bytes()
        tensors = load_bytes(data)
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror or error}", "Check the path.") from error
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{path} is no checkpoint: not a whole safetensors file", _WRITTEN_BY) from error
    return _checked(path, tensors, metadata), hashlib.sha256(data).hexdigest()


def _checked(path: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str]) -> Checkpoint:
    own_encoder = any(name.startswith("encoder.") for name in tensors)
    try:
        stated: Mapping[str, Any] = metadata if own_encoder else json.loads(metadata[KEY])
        threshold = float(stated["threshold"])
        if not 0 < threshold < 1:
            raise ValueError("threshold")
        if own_encoder:
            rule = (
                Abstention.from_dict(json.loads(metadata["abstention"]))
                if "abstention" in metadata
                else EVERY_PICTURE
            )
            return Checkpoint(tensors, None, "", "", threshold, metadata, rule)
        if stated["format"] != FORMAT or stated["head"] not in HEADS:
            raise ValueError("format")
        encoder, sha256, facts = str(stated["encoder"]), str(stated["encoder_sha256"]), dict(stated["facts"])
        return Checkpoint(tensors, stated["head"], encoder, sha256, threshold, facts)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} is no checkpoint: it does not say what head it is, on which encoder", _WRITTEN_BY
        ) from error
