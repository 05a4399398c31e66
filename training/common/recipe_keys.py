"""Keys of the recipes that checkpoints store, also of checkpoints that sidscan 0.1 wrote.

`training.rine` writes recipes, `training.evaluation` reads them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

RENAMED_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "layers": "num_proj_layers",
        "projected": "proj_dim",
        "share": "data_fraction",
        "without": "ablate",
        "reduce_at": "lr_milestones",
    }
)
"""Keys in "sidscan checkpoint 1" -> keys today. Never change this map: old files stay as they are."""


def with_current_keys(recipe: Mapping[str, object]) -> dict[str, object]:
    """A stored recipe under today's keys, in its order; keys of neither format stay as they are."""
    return {RENAMED_KEYS.get(name, name): value for name, value in recipe.items()}
