"""Which repositories the windows come from, and which weights were fitted on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from .corpus import Window
from .figure_types import DataSource, FoldWeights
from .weights_file import file_sha256


def data_sources(windows: Sequence[Window], folds: Mapping[str, int]) -> list[DataSource]:
    """One row per (repository, label): fold, windows, licences as the repository states them."""
    groups: dict[tuple[str, bool], list[Window]] = {}
    for window in windows:
        groups.setdefault((window.repo, window.synthetic), []).append(window)
    rows: list[DataSource] = [
        {
            "fold": folds[repo],
            "repository": repo,
            "label": "synthetic" if synthetic else "real",
            "windows": len(members),
            "what": sorted({window.category for window in members}),
            "licence": ", ".join(sorted({window.licence for window in members})),
        }
        for (repo, synthetic), members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    return sorted(rows, key=lambda row: row["fold"])


def fold_weights(folds: Mapping[str, int], files: Sequence[Path]) -> list[FoldWeights]:
    """The weights of every fold, in order, and the repositories that they were not fitted on."""
    return [
        {
            "sha256": file_sha256(file),
            "repositories": sorted(repo for repo, home in folds.items() if home == fold),
        }
        for fold, file in enumerate(files)
    ]
