"""C2PA manifest stores (C2PA 2.1, sections 8, 10 and 18): who made what by which actions, as stated.

Signatures and hashes are not checked here: anybody can write what this module reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from sidscan.containers.isobmff import Box
from sidscan.provenance.blocks import Block, Budget
from sidscan.provenance.brotli_data import BrotliError, unpack
from sidscan.provenance.cbor import CborError, CborReader
from sidscan.provenance.certificates import signer_of
from sidscan.provenance.jumbf import SuperBox, content_boxes, super_boxes

_MOST_MANIFESTS, _MOST_ASSERTIONS, _MOST_ACTIONS = 1000, 1000, 5000
_MOST_ITEMS = 200_000  # of CBOR, in a whole store
_INSTANCE = re.compile(r"(\.v\d+)?(__\d+)?$")  # version and number of an assertion's label
_LONGEST = 200  # characters of a name
METADATA_LABELS = ("c2pa.metadata", "cawg.metadata", "stds.metadata", "stds.iptc", "stds.iptc.photo-metadata")
AI_CONTENT, ADOBE_GENERATIVE = "c2pa.ai_generated_content", "com.adobe.generative-ai"


class ManifestError(ValueError):
    """A manifest store that can't be read."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that was done to an image.

    Attributes:
        name: e.g. ``c2pa.created``.
        source_type: as stated, mostly a URI of IPTC's NewsCodes; empty if it is not stated.
        agent: name of the software that did it; empty if it is not stated.
    """

    name: str
    source_type: str = ""
    agent: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Ingredient:
    """What an image was made from.

    Attributes:
        relationship: as stated: ``parentOf``, ``componentOf`` or ``inputTo``.
        manifest: label of its manifest; empty if it has none.
    """

    relationship: str
    manifest: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One claim about an image.

    Attributes:
        generator: the software that made the claim.
        signer: organisation and name in the certificate, unchecked; empty if there is none.
        statements: what other assertions say of generation; their labels stand for the actions' names.
        problems: why some of its assertions can't be read.
    """

    label: str
    generator: str = ""
    actions: tuple[Action, ...] = ()
    ingredients: tuple[Ingredient, ...] = ()
    signer: str = ""
    statements: tuple[Action, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def parents(self) -> tuple[str, ...]:
        """Labels of the manifests of what the image was made from by editing (parentOf)."""
        return tuple(
            each.manifest for each in self.ingredients if each.relationship == "parentOf" and each.manifest
        )


@dataclass(frozen=True, slots=True)
class ManifestStore:
    """The manifests of a file; the last one is active: it is about the file itself.

    Attributes:
        problems: why manifests or assertions can't be read and are left out.
        has_active: whether the active manifest could be read; else nothing says how the others belong to the
            image.
    """

    container: str
    offset: int
    manifests: tuple[Manifest, ...]
    problems: tuple[str, ...] = ()
    has_active: bool = True

    @property
    def lineage(self) -> tuple[Manifest, ...]:
        """The active manifest and, one after the other, those of its parents."""
        if not self.has_active:
            return ()
        by_label = {manifest.label: manifest for manifest in self.manifests}
        found = {self.manifests[-1].label: self.manifests[-1]}
        open_ones = [self.manifests[-1]]
        while open_ones:
            for label in open_ones.pop().parents:
                if label in by_label and label not in found:
                    found[label] = by_label[label]
                    open_ones.append(by_label[label])
        return tuple(found.values())

    @property
    def others(self) -> tuple[Manifest, ...]:
        """The manifests of what the image has parts of, or was made with."""
        labels = {manifest.label for manifest in self.lineage}
        return tuple(manifest for manifest in self.manifests if manifest.label not in labels)


def read_store(block: Block, budget: Budget) -> ManifestStore | None:
    """The manifests of a block; None if its boxes are of another kind: JUMBF has other uses, too.

    Args:
        budget: what compressed manifests may need.

    Raises:
        ManifestError: there are none, or they can't be read.
        MetadataLimit: compressed manifests are more than the budget allows.
    """
    data = block.data
    found = list(islice(super_boxes(data), _MOST_MANIFESTS))
    store = next((box for box in found if box.label == "c2pa"), None)
    if store is None and found:
        return None
    if store is None:
        raise ManifestError("no manifest store")
    cbor, manifests, problems = CborReader(_MOST_ITEMS), list[Manifest](), list[str]()
    has_active = False
    for box in super_boxes(data, store.body, store.end):
        if len(manifests) + len(problems) == _MOST_MANIFESTS:
            raise ManifestError("too many manifests")
        try:
            manifests.append(_StoreReader(data, cbor, budget).manifest(box))
            has_active = True
        except ManifestError as error:
            problems.append(str(error))
            has_active = False
    if not manifests:
        raise ManifestError(problems[0] if problems else "no manifest in the store")
    problems += [problem for manifest in manifests for problem in manifest.problems]
    return ManifestStore(block.container, block.offset, tuple(manifests), tuple(problems), has_active)


class _StoreReader:
    def __init__(self, data: bytes, cbor: CborReader, budget: Budget) -> None:
        self._data = data
        self._cbor = cbor
        self._budget = budget

    def manifest(self, box: SuperBox) -> Manifest:
        if packed := next((each for each in content_boxes(self._data, box) if each.kind == b"brob"), None):
            return self._compressed(packed)
        parts = {part.label: part for part in super_boxes(self._data, box.body, box.end)}
        claim = next((parts[label] for label in ("c2pa.claim.v2", "c2pa.claim") if label in parts), None)
        if claim is None:
            raise ManifestError("a manifest without a claim")
        generator = _generator(self._content(claim))
        actions, ingredients = list[Action](), list[Ingredient]()
        statements, problems = list[Action](), list[str]()
        for label, content in self._assertions(parts.get("c2pa.assertions")):
            try:
                if label == "c2pa.actions":
                    actions.extend(_actions(self._content(content)))
                elif label == "c2pa.ingredient":
                    ingredients.extend(_ingredient(self._content(content)))
                elif read := _STATEMENTS.get(label):
                    statements.extend(read(label, self._content(content)))
            except ManifestError as error:
                problems.append(f"{error} in {label}")
        if len(actions) > _MOST_ACTIONS or len(statements) > _MOST_ACTIONS:
            problems.append("too many actions")
        return Manifest(
            box.label,
            generator,
            tuple(actions[:_MOST_ACTIONS]),
            tuple(ingredients),
            self._signer(parts.get("c2pa.signature")),
            tuple(statements[:_MOST_ACTIONS]),
            tuple(problems),
        )

    def _compressed(self, packed: Box) -> Manifest:
        """A manifest in a box of its own, packed as a whole (C2PA 2.3, compressed manifests)."""
        try:
            data = unpack(self._data[packed.body : packed.end], self._budget)
        except BrotliError as error:
            raise ManifestError(str(error)) from error
        box = next(super_boxes(data), None)
        if box is None or any(each.kind == b"brob" for each in content_boxes(data, box)):
            raise ManifestError("no manifest in Brotli data")
        return _StoreReader(data, self._cbor, self._budget).manifest(box)

    def _assertions(self, box: SuperBox | None) -> Iterator[tuple[str, SuperBox]]:
        if box is None:
            return
        for count, assertion in enumerate(super_boxes(self._data, box.body, box.end)):
            if count == _MOST_ASSERTIONS:
                raise ManifestError("too many assertions")
            yield _INSTANCE.sub("", assertion.label), assertion

    def _content(self, box: SuperBox) -> object:
        """What a box holds as CBOR or JSON."""
        for content in content_boxes(self._data, box):
            body = self._data[content.body : content.end]
            if content.kind == b"cbor":
                try:
                    return self._cbor.read(body)
                except CborError as error:
                    raise ManifestError(str(error)) from error
            if content.kind == b"json":
                try:
                    return json.loads(body)
                except (ValueError, RecursionError) as error:
                    raise ManifestError("damaged JSON") from error
        raise ManifestError("neither CBOR nor JSON")

    def _signer(self, box: SuperBox | None) -> str:
        try:
            signature = self._content(box) if box else None
            is_list = isinstance(signature, list) and signature and isinstance(signature[0], bytes)
            protected = self._cbor.read(signature[0]) if is_list and signature[0] else None  # type: ignore[index]
        except (ManifestError, CborError):
            return ""
        return signer_of(signature, protected)


def _generator(claim: object) -> str:
    if not isinstance(claim, Mapping):
        raise ManifestError("a claim that is no map")
    info = claim.get("claim_generator_info")
    for entry in info if isinstance(info, list) else [info]:
        if isinstance(entry, Mapping) and (name := _text(entry.get("name"))):
            return f"{name} {_text(entry.get('version'))}".strip()
    return _text(claim.get("claim_generator"))


def _actions(assertion: object) -> Iterator[Action]:
    if not isinstance(assertion, Mapping):
        return
    templates = {_text(each.get("action")): each for each in _maps(assertion.get("templates"))}
    agents = assertion.get("softwareAgents")
    for action in _maps(assertion.get("actions")):
        name = _text(action.get("action"))
        stated = (action, action.get("parameters"), templates.get(name))
        agent = _first(stated, "softwareAgent") or _at(agents, _first(stated, "softwareAgentIndex"))
        yield Action(
            name,
            _text(_first(stated, "digitalSourceType")),
            _text(agent.get("name") if isinstance(agent, Mapping) else agent),
            _text(_first(stated, "description")),
        )


def _first(stated: Iterable[object], key: str) -> object:
    """What the first of some maps says; None where none says anything."""
    values = (each.get(key) for each in stated if isinstance(each, Mapping))
    return next((value for value in values if value is not None and value != ""), None)


def _at(values: object, index: object) -> object:
    is_inside = isinstance(values, list) and isinstance(index, int) and 0 <= index < len(values)
    return values[index] if is_inside else None  # type: ignore[index]


def _of_metadata(label: str, assertion: object) -> Iterator[Action]:
    """Source types in metadata as JSON-LD, whose prefixes say little: contexts give them."""
    if isinstance(assertion, Mapping):
        for key, value in assertion.items():
            if isinstance(key, str) and key.rpartition(":")[2] == "DigitalSourceType":
                yield Action(label, _text(value))


def _of_generator(label: str, assertion: object) -> Iterator[Action]:
    """What Adobe wrote before source types, and Black Forest Labs beside them."""
    if not isinstance(assertion, Mapping) or assertion.get("ai_generated", True) is not True:
        return
    yield Action(label, agent=_text(assertion.get("model") or assertion.get("description")))


_STATEMENTS: dict[str, Callable[[str, object], Iterator[Action]]] = {
    **dict.fromkeys(METADATA_LABELS, _of_metadata),
    **dict.fromkeys((AI_CONTENT, ADOBE_GENERATIVE), _of_generator),
}


def _ingredient(assertion: object) -> Iterator[Ingredient]:
    """What an assertion names; nothing where it does not say how the image was made from it."""
    relationship = _text(assertion.get("relationship")) if isinstance(assertion, Mapping) else ""
    if isinstance(assertion, Mapping) and relationship:
        labels = (_manifest_label(assertion.get(key)) for key in ("activeManifest", "c2pa_manifest"))
        yield Ingredient(relationship, next(filter(None, labels), ""))


def _manifest_label(reference: object) -> str:
    """The label in a URI such as ``self#jumbf=/c2pa/urn:uuid:...``; empty where there is none."""
    uri = _text(reference.get("url") if isinstance(reference, Mapping) else reference)
    path = uri.partition("jumbf=")[2].strip("/").split("/")
    return path[1] if len(path) >= 2 and path[0] == "c2pa" else ""


def _maps(values: object) -> Iterable[Mapping[object, object]]:
    return (value for value in values if isinstance(value, Mapping)) if isinstance(values, list) else ()


def _text(value: object) -> str:
    return value[:_LONGEST].strip() if isinstance(value, str) else ""
