"""Images with signed manifests. Needs c2pa-python."""

from __future__ import annotations

import io
import json
from typing import Any

from sample_images import encoded, photo
from sample_provenance import GENERATED, action


def signed_png(signer: Any, settings: dict[str, Any], parent: bytes = b"") -> bytes:
    """A PNG signed with settings of c2pa-python, whose manifest says that AI made it, or its parent."""
    import c2pa

    opened = action("c2pa.opened", parameters={"ingredientIds": ["parent"]})
    made = opened if parent else action(source=GENERATED, agent="Maker")

    definition = {
        "claim_generator_info": [{"name": "Example", "version": "1"}],
        "format": "image/png",
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [made]}},
        ],
    }
    source, signed_file = io.BytesIO(encoded(photo(64, 64), "PNG")), io.BytesIO()
    context = c2pa.Context(c2pa.Settings.from_dict(settings))
    with c2pa.Builder(json.dumps(definition), context) as builder:
        if parent:
            ingredient = {"title": "parent", "relationship": "parentOf", "instance_id": "parent"}
            builder.add_ingredient(json.dumps(ingredient), "image/png", io.BytesIO(parent))
        builder.sign(signer, "image/png", source, signed_file)
    return signed_file.getvalue()
