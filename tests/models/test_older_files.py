"""Files as PyTorch wrote them before version 1.6: five pickles, then the numbers of each storage."""

from __future__ import annotations

import io
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sidscan.errors import ModelError
from sidscan.models import state_dicts

MAGIC = 0x1950A86A20F9469CFC6C


def _saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def test_tensors_come_as_they_were_saved(tmp_path: Path) -> None:
    """Of several types, as views, and as parameters that share a storage."""
    shared = torch.arange(12.0).reshape(3, 4)
    state = OrderedDict(
        whole=shared,
        part=shared[1:, :2],
        turned=shared.T,
        half=torch.tensor([0.5, -2.0]).half(),
        short=torch.tensor([0.5, 3.0]).bfloat16(),
        count=torch.tensor(7),
        learnt=torch.nn.Parameter(torch.ones(2)),
        empty=torch.zeros(0),
    )
    (tmp_path / "x.pth").write_bytes(_saved(state))
    read = state_dicts.read_tensors(tmp_path / "x.pth")
    assert list(read) == list(state)
    assert all(
        torch.equal(read[name], tensor) and read[name].dtype == tensor.dtype for name, tensor in state.items()
    )


@pytest.mark.parametrize("key", ["model", "state_dict", "net"])
def test_of_what_training_saved_the_network_is_read(tmp_path: Path, key: str) -> None:
    content = {
        "optimizer": {"state": {140: {"step": 3, "exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]},
        key: {"w": torch.ones(2)},
        "best": np.float64(0.5),
        "scheduler": {"best": None, "mode_worse": float("inf"), "min_lrs": [0]},
    }
    (tmp_path / "x.pth").write_bytes(_saved(content))
    assert {n: a.tolist() for n, a in state_dicts.read_arrays(tmp_path / "x.pth").items()} == {"w": [1, 1]}


class _Hostile:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.witness),)


def _sequence(content: bytes, keys: list[str], tail: bytes = b"", little: bool = True) -> bytes:
    """A file of this layout, written by hand."""
    machine = {"protocol_version": 1001, "little_endian": little, "type_sizes": {}}
    parts = [pickle.dumps(each, 2) for each in (MAGIC, 1001, machine)]
    return b"".join([*parts, content, pickle.dumps(keys, 2), tail])


def test_a_hostile_pickle_is_not_run(tmp_path: Path) -> None:
    witness = tmp_path / "was-run"
    (tmp_path / "x.pth").write_bytes(_sequence(pickle.dumps({"w": _Hostile(witness)}, 2), []))
    with pytest.raises(ModelError, match=f"its pickle asks for {os.mkdir.__module__}.mkdir"):
        state_dicts.read_arrays(tmp_path / "x.pth")
    assert not witness.exists()


def _cut(data: bytes) -> bytes:
    return data[:-1]


def _another_length(data: bytes) -> bytes:
    start = data.rindex((4).to_bytes(8, "little"))
    return data[:start] + (5).to_bytes(8, "little") + data[start + 8 :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_cut, "the file declares .* bytes but is .* bytes long"),
        (lambda data: data[: len(data) // 2], "its pickle is damaged|is damaged"),
        (_another_length, "is not as long as its tensors state"),
        (lambda _: _sequence(pickle.dumps({}, 2), ["1"]), "its list of storages is not that of its tensors"),
        (lambda _: _sequence(pickle.dumps({}, 2), [], little=False), "or of another byte order"),
        (
            lambda _: _sequence(pickle.dumps([1], 2), []),
            "holds neither a state dict nor a TorchScript module",
        ),
    ],
    ids=["cut", "cut in half", "another length", "another list", "another byte order", "no dictionary"],
)
def test_damaged_files_are_refused(tmp_path: Path, change: Callable[[bytes], bytes], message: str) -> None:
    (tmp_path / "x.pth").write_bytes(change(_saved({"w": torch.ones(4)})))
    with pytest.raises(ModelError, match=rf"x\.pth can't be read as weights: .*({message})"):
        state_dicts.read_arrays(tmp_path / "x.pth")
