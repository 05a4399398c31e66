"""C2PA manifest stores (C2PA 2.1, sections 8, 10 and 18): who made what by which actions, as stated.

Signatures and hashes are not checked here: anybody can write what this module reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from sidscan.provenance.blocks import Block
from sidscan.provenance.cbor import CborError, CborReader
from sidscan.provenance.certificates import signer_of
from sidscan.provenance.jumbf import SuperBox, content_boxes, super_boxes

_MOST_MANIFESTS, _MOST_ASSERTIONS, _MOST_ACTIONS = 1000, 1000, 5000
_MOST_ITEMS = 200_000  # of CBOR, in a whole store
_INSTANCE = re.compile(r"(\.v\d+)?(__\d+)?$")  # version and number of an assertion's label
_LONGEST = 200  # characters of a name


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
class Manifest:
    """One claim about an image.

    Attributes:
        generator: the software that made the claim.
        parents: labels of the manifests of what the image was made from by editing (parentOf).
        signer: organisation and name in the certificate, unchecked; empty if there is none.
        assertions: labels of all of them, without version and number.
    """

    label: str
    generator: str = ""
    actions: tuple[Action, ...] = ()
    parents: tuple[str, ...] = ()
    signer: str = ""
    assertions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ManifestStore:
    """The manifests of a file; the last one is active: it is about the file itself.

    Attributes:
        unread: how many manifests can't be read and are left out.
    """

    container: str
    offset: int
    manifests: tuple[Manifest, ...]
    unread: int = 0

    @property
    def lineage(self) -> tuple[Manifest, ...]:
        """The active manifest and, one after the other, those of its parents."""
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


def read_store(block: Block) -> ManifestStore | None:
    """The manifests of a block; None if its boxes are of another kind: JUMBF has other uses, too.

    Raises:
        ManifestError: there are none, or they can't be read.
    """
    data = block.data
    found = list(islice(super_boxes(data), _MOST_MANIFESTS))
    store = next((box for box in found if box.label == "c2pa"), None)
    if store is None and found:
        return None
    if store is None:
        raise ManifestError("no manifest store")
    reader, manifests, unread, error = _StoreReader(data), list[Manifest](), 0, "no manifest in the store"
    for box in super_boxes(data, store.body, store.end):
        if len(manifests) + unread == _MOST_MANIFESTS:
            raise ManifestError("too many manifests")
        try:
            manifests.append(reader.manifest(box))
        except ManifestError as raised:
            error, unread = str(raised), unread + 1
    if not manifests:
        raise ManifestError(error)
    return ManifestStore(block.container, block.offset, tuple(manifests), unread)


class _StoreReader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._cbor = CborReader(_MOST_ITEMS)

    def manifest(self, box: SuperBox) -> Manifest:
        parts = {part.label: part for part in super_boxes(self._data, box.body, box.end)}
        claim = next((parts[label] for label in ("c2pa.claim.v2", "c2pa.claim") if label in parts), None)
        if claim is None:
            raise ManifestError("a manifest without a claim")
        actions, parents, labels = list[Action](), list[str](), set[str]()
        for label, content in self._assertions(parts.get("c2pa.assertions")):
            labels.add(label)
            if label == "c2pa.actions":
                actions.extend(_actions(self._content(content)))
            elif label == "c2pa.ingredient":
                parents.extend(_parent(self._content(content)))
        return Manifest(
            box.label,
            _generator(self._content(claim)),
            tuple(actions[:_MOST_ACTIONS]),
            tuple(parents),
            self._signer(parts.get("c2pa.signature")),
            frozenset(labels),
        )

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
    for action in _maps(assertion.get("actions")):
        name = _text(action.get("action"))
        template = templates.get(name, {})
        agent = action.get("softwareAgent") or template.get("softwareAgent")
        yield Action(
            name,
            _text(action.get("digitalSourceType") or template.get("digitalSourceType")),
            _text(agent.get("name") if isinstance(agent, Mapping) else agent),
            _text(action.get("description") or _description(action)),
        )


def _description(action: Mapping[object, object]) -> object:
    parameters = action.get("parameters")
    return parameters.get("description") if isinstance(parameters, Mapping) else None


def _parent(assertion: object) -> Iterator[str]:
    """The label of a parent's manifest, from a URI such as ``self#jumbf=/c2pa/urn:uuid:...``."""
    if not isinstance(assertion, Mapping) or assertion.get("relationship") != "parentOf":
        return
    for key in ("activeManifest", "c2pa_manifest"):
        reference = assertion.get(key)
        if isinstance(reference, Mapping):
            path = _text(reference.get("url")).partition("jumbf=")[2].strip("/").split("/")
            if len(path) >= 2 and path[0] == "c2pa":
                yield path[1]


def _maps(values: object) -> Iterable[Mapping[object, object]]:
    return (value for value in values if isinstance(value, Mapping)) if isinstance(values, list) else ()


def _text(value: object) -> str:
    return value[:_LONGEST].strip() if isinstance(value, str) else ""
