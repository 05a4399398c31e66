"""Fresh features and cached features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from training_sets import progan_like, small_clip

from sidscan.errors import OutputError, UsageError
from sidscan.training.datasets.rows import LabelledImage
from sidscan.training.rine import features
from sidscan.training.rine.crop_dataset import CropDataset, UnreadableExample
from sidscan.training.rine.examples import list_part
from sidscan.training.rine.features import FeatureCache, FreshFeatures, FrozenEncoder, open_encoder

ORDER = [[3, 0, 7], [6, 1]]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> FrozenEncoder:
    return open_encoder(str(small_clip(tmp_path_factory.mktemp("encoder") / "clip.safetensors")))


@pytest.fixture
def examples(tmp_path: Path) -> list[LabelledImage]:
    return list_part(progan_like(tmp_path / "data", ("cat",), count=5), "cnndetection", "train", ("cat",))


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "CROPS_PER_SHARD", 4)


def _cache(
    folder: Path, examples: list[LabelledImage], encoder: FrozenEncoder, passes: int = 1
) -> FeatureCache:
    return FeatureCache(folder, CropDataset(examples, seed=3), encoder, "blocks", "digest", passes)


@pytest.mark.usefixtures("small_shards")
def test_cached_features_are_fresh_features_in_fp16(
    tmp_path: Path, examples: list[LabelledImage], encoder: FrozenEncoder
) -> None:
    fresh = FreshFeatures(CropDataset(examples, seed=3), encoder, "blocks")
    cache = _cache(tmp_path / "cache", examples, encoder, passes=2)
    done: list[int] = []
    cache.build(done.append)
    assert sum(done) == cache.total == 20
    for epoch in (0, 1):
        for (values, labels), (cached, cached_labels) in zip(
            fresh.batches(epoch, ORDER), cache.batches(epoch, ORDER), strict=True
        ):
            assert values.shape == cached.shape == (len(labels), 3, 64)
            assert torch.equal(labels, cached_labels)
            assert torch.allclose(values, cached, atol=4e-3)
    again, first = (next(cache.batches(epoch, ORDER))[0] for epoch in (2, 0))
    assert torch.equal(again, first), "an epoch beyond the passes uses the crops of an earlier pass"
    assert not torch.equal(next(cache.batches(1, ORDER))[0], first)


@pytest.mark.usefixtures("small_shards")
def test_an_interrupted_build_continues(
    tmp_path: Path, examples: list[LabelledImage], encoder: FrozenEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _cache(tmp_path / "whole", examples, encoder)
    whole.build()

    def stop(done: int) -> None:
        stopped.append(done)
        if len(stopped) == 2:
            raise KeyboardInterrupt

    stopped: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        _cache(tmp_path / "cache", examples, encoder).build(stop)
    first = tmp_path / "cache" / "pass-0" / "00000.npy"
    written = first.stat().st_mtime_ns
    cache = _cache(tmp_path / "cache", examples, encoder)
    cache.build()
    assert first.stat().st_mtime_ns == written
    for path in sorted((tmp_path / "whole" / "pass-0").iterdir()):
        assert path.read_bytes() == (tmp_path / "cache" / "pass-0" / path.name).read_bytes()


def test_a_cache_of_something_else_is_refused(
    tmp_path: Path, examples: list[LabelledImage], encoder: FrozenEncoder
) -> None:
    _cache(tmp_path / "cache", examples, encoder).build()
    other = FeatureCache(tmp_path / "cache", CropDataset(examples, seed=4), encoder, "blocks", "other digest")
    with pytest.raises(UsageError) as refused:
        other.build()
    assert str(refused.value) == (
        f"{tmp_path / 'cache'} contains features of other settings: data, seed\n"
        "Choose another folder with --cache."
    )


def test_a_cache_of_sidscan_0_1_is_refused(
    tmp_path: Path, examples: list[LabelledImage], encoder: FrozenEncoder
) -> None:
    """Format 1 of the cache has "reading" where format 2 has "feature"."""
    cache = _cache(tmp_path / "cache", examples, encoder)
    cache.build()
    path = tmp_path / "cache" / "facts.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    assert (facts["format"], facts["feature"]) == (2, "blocks")
    facts |= {"format": 1, "reading": facts.pop("feature")}
    path.write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        cache.build()
    assert str(refused.value) == (
        f"{tmp_path / 'cache'} contains a feature cache of format 1; this version of sidscan needs format 2\n"
        "Choose another folder with --cache."
    )


def test_an_image_that_cannot_be_read(
    tmp_path: Path, examples: list[LabelledImage], encoder: FrozenEncoder
) -> None:
    examples[6].path.write_bytes(b"BM no image")
    with pytest.raises(UnreadableExample, match=r"001\.bmp can't be read: .*\n.*--skip-unreadable"):
        _cache(tmp_path / "cache", examples, encoder).build()
    crops = CropDataset(examples, seed=3, skip_unreadable=True)
    cache = FeatureCache(tmp_path / "cache", crops, encoder, "blocks", "digest")
    cache.build()
    fresh = FreshFeatures(CropDataset(examples, seed=3, skip_unreadable=True), encoder, "blocks")
    for source in (cache, fresh):
        sizes = [(len(values), len(labels)) for values, labels in source.batches(0, ORDER)]
        assert sizes == [(3, 3), (1, 1)]
        assert [labels.tolist() for _, labels in source.batches(0, ORDER)] == [[0, 0, 1], [0]]
    assert crops.left_out == fresh.crops.left_out == {6}
    reopened = FeatureCache(
        tmp_path / "cache", CropDataset(examples, seed=3, skip_unreadable=True), encoder, "blocks", "digest"
    )
    list(reopened.batches(0, ORDER))
    assert reopened.crops.left_out == {6}, "known from the cache alone"
    strict = FeatureCache(tmp_path / "cache", CropDataset(examples, seed=3), encoder, "blocks", "digest")
    with pytest.raises(UnreadableExample, match="it could not be read when the cache was made"):
        list(strict.batches(0, ORDER))


@pytest.mark.usefixtures("small_shards")
def test_a_full_disk_keeps_the_finished_shards(
    tmp_path: Path, examples: list[LabelledImage], encoder: FrozenEncoder
) -> None:
    resource = pytest.importorskip("resource")  # not on Windows
    cache = _cache(tmp_path / "cache", examples, encoder)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def shrink(_: int) -> None:
        """After the second batch, no file can grow beyond 1,000 bytes."""
        count.append(1)
        if len(count) == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))

    count: list[int] = []
    try:
        with pytest.raises(OutputError) as full:
            cache.build(shrink)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "00001.npy: File too large\n" in str(full.value)
    assert full.value.remedy.startswith("Nothing that was done is lost")
    assert [path.name for path in (tmp_path / "cache" / "pass-0").iterdir()] == ["00000.npy"]
    cache.build()


def test_a_damaged_shard_is_named(
    tmp_path: Path, examples: list[LabelledImage], encoder: FrozenEncoder
) -> None:
    cache = _cache(tmp_path / "cache", examples, encoder)
    cache.build()
    shard = tmp_path / "cache" / "pass-0" / "00000.npy"
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(OutputError, match=f"Delete {shard} and run again"):
        next(cache.batches(0, ORDER))


def test_crops_do_not_depend_on_the_number_of_threads(examples: list[LabelledImage]) -> None:
    by_one_thread, by_seven_threads = (
        list(CropDataset(examples, seed=1, workers=workers).draw(0, range(10))) for workers in (1, 7)
    )
    for crop, same in zip(by_one_thread, by_seven_threads, strict=True):
        assert crop is not None
        assert same is not None
        assert np.array_equal(crop, same)
