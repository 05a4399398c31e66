"""Does the own reader of C2PA manifests say what c2pa-python, the reference, says?

    python benchmarks/provenance_agreement.py FOLDER... --out FILE

Every file below the folders is given to both. Of every manifest in a store, that of the file and those of
what it was made from, they must have the same actions and source types, software agents, ingredients
(parentOf, componentOf, inputTo, and which manifest each has) and signer, and the same manifest must be the
active one. Prints each difference. It needs c2pa-python, and no network: remote manifests, revocation lists
and identities are switched off.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import c2pa
from record import publish, stamp

from sidscan.provenance.blocks import BlockKind, Budget, MetadataLimit
from sidscan.provenance.manifests import ManifestError, ManifestStore, read_store
from sidscan.provenance.places import has_reader, read_blocks

_MOST_BYTES = 1 << 30  # of metadata
_OFFLINE = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": False},
    "core": {"decode_identity_assertions": False, "allowed_network_hosts": []},
}
_ACTIONS = re.compile(r"c2pa\.actions(\.v\d+)?(__\d+)?")
_NOTHING_TO_SAY = (
    "no manifest",
    "held elsewhere",
    "no format of both",
    "c2pa-python fails, and there is none",
    "same",
)
Said = dict[str, Any]


class Outcome(NamedTuple):
    """One file: what became of the comparison, and its differences."""

    word: str
    differences: list[str]


def main() -> int:
    """Compare, print, and write the result; the exit code says whether anything differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    context = c2pa.Context(c2pa.Settings.from_dict(_OFFLINE))
    outcomes, listed, manifests, files = Counter[str](), list[Said](), Counter[str](), 0
    for path, data in distinct_files(options.folders):
        files += 1
        outcome = compare(data, context, manifests)
        outcomes[outcome.word] += 1
        if outcome.word not in _NOTHING_TO_SAY:
            listed.append({"file": path.name, "outcome": outcome.word, "differences": outcome.differences})
            print(f"{path}: {outcome.word}", *outcome.differences, sep="\n    ")
    result = {"files": files, "outcomes": dict(sorted(outcomes.items())), "compared": dict(manifests)}
    publish(
        stamp("provenance_agreement") | {"c2pa-python": c2pa.__version__} | result | {"listed": listed},
        options.out,
    )
    return int(outcomes["different"] > 0)


def distinct_files(folders: list[Path]) -> Iterator[tuple[Path, bytes]]:
    """Every file once, whatever its names."""
    seen = set()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                digest = hashlib.sha256(data).digest()
                if digest not in seen:
                    seen.add(digest)
                    yield path, data


def compare(data: bytes, context: Any, manifests: Counter[str]) -> Outcome:
    """Both readers on one file; counts the manifests that were compared, and what they hold."""
    own, own_error = own_store(data)
    try:
        theirs = reference_store(data, context)
    except Exception as error:  # its errors have classes of their own
        return refused(" ".join(str(error).split())[:200], own, own_error)
    if theirs is None and own is None:
        return Outcome("only own refuses" if own_error else "no manifest", [own_error])
    if own is None and not has_reader(data):
        return Outcome("a format that sidscan does not read", [data[:12].hex(" ")])
    if theirs is None or own is None:
        return Outcome("only own" if own else "only c2pa-python", [own_error])
    differences = list(_differences(of_own(own), theirs))
    manifests["manifests"] += len(theirs["manifests"])
    manifests["actions"] += sum(len(each["actions"]) for each in theirs["manifests"].values())
    for each in theirs["manifests"].values():
        manifests.update(relationship for relationship, _ in each["ingredients"])
    if not differences:
        return Outcome("same", [])
    only_blanks = not list(_differences(_stripped(of_own(own)), _stripped(theirs)))
    return Outcome("same but for blanks around values" if only_blanks else "different", differences)


def _stripped(said: Any) -> Any:
    """Without blanks around texts: the own reader drops them."""
    if isinstance(said, dict):
        return {key: _stripped(value) for key, value in said.items()}
    if isinstance(said, list | tuple):
        return [_stripped(value) for value in said]
    return said.strip()


def refused(error: str, own: ManifestStore | None, own_error: str) -> Outcome:
    """What it means that the reference gives no answer."""
    if own is not None:
        return Outcome("c2pa-python refuses", [error, own_words(own)])
    if error.startswith("Remote"):
        return Outcome("held elsewhere", [error])
    if own_error:
        return Outcome("both refuse", [error, own_error])
    return Outcome(
        "no format of both" if "unsupported" in error else "c2pa-python fails, and there is none", []
    )


def own_store(data: bytes) -> tuple[ManifestStore | None, str]:
    """The first manifest store, or why there is none."""
    error, budget = "", Budget(_MOST_BYTES)
    try:
        for block in read_blocks(data, budget):
            if block.kind is BlockKind.C2PA and (store := read_store(block, budget)):
                return store, ""
    except (ManifestError, MetadataLimit) as raised:
        error = str(raised) or type(raised).__name__
    return None, error


def own_words(store: ManifestStore) -> str:
    """What the own reader finds where the reference refuses."""
    return "; ".join(
        f"{each.generator}: {[action.source_type for action in each.actions]}" for each in store.manifests
    )


def of_own(store: ManifestStore) -> Said:
    """A store in the shape that both readers are compared in."""
    manifests = {
        manifest.label: {
            "actions": sorted((each.name, each.source_type, each.agent) for each in manifest.actions),
            "ingredients": sorted((each.relationship, each.manifest) for each in manifest.ingredients),
            "signer": manifest.signer,
        }
        for manifest in store.manifests
    }
    return {"active": store.manifests[-1].label, "manifests": manifests}


def reference_store(data: bytes, context: Any) -> Said | None:
    """The same by c2pa-python; None without a manifest."""
    reader = c2pa.Reader.try_create(None, io.BytesIO(data), context=context)
    if reader is None:
        return None
    with reader:
        report = json.loads(reader.json())
    manifests = {label: _of_reference(manifest) for label, manifest in report["manifests"].items()}
    return {"active": report["active_manifest"], "manifests": manifests}


def _of_reference(manifest: Mapping[str, Any]) -> Said:
    signature = manifest.get("signature_info") or {}
    ingredients = [
        (each.get("relationship") or "", each.get("active_manifest") or "")
        for each in manifest.get("ingredients") or ()
    ]
    names = (signature.get("issuer"), signature.get("common_name"))
    return {
        "actions": sorted(_reference_actions(manifest)),
        "ingredients": sorted(ingredients),
        "signer": ", ".join(dict.fromkeys(filter(None, names))),
    }


def _reference_actions(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for assertion in manifest.get("assertions") or ():
        if not _ACTIONS.fullmatch(assertion["label"]):
            continue
        templates = {each.get("action"): each for each in assertion["data"].get("templates") or ()}
        for action in assertion["data"].get("actions") or ():
            merged = {**templates.get(action["action"], {}), **action}
            agent = merged.get("softwareAgent") or ""
            name = agent.get("name", "") if isinstance(agent, Mapping) else agent
            yield action["action"], merged.get("digitalSourceType") or "", name.strip()


def _differences(own: Said, theirs: Said) -> Iterator[str]:
    if own["active"] != theirs["active"]:
        yield f"active manifest: {own['active']} and {theirs['active']}"
    for label in sorted({*own["manifests"], *theirs["manifests"]}):
        mine, other = own["manifests"].get(label), theirs["manifests"].get(label)
        if mine is None or other is None:
            yield f"manifest {label}: only {'c2pa-python' if mine is None else 'own'}"
            continue
        for key in mine:
            if mine[key] != other[key]:
                yield f"{key} of {label}: {mine[key]} and {other[key]}"


if __name__ == "__main__":
    sys.exit(main())
