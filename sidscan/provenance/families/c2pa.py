"""C2PA manifests: what they say of generation, of parts, and of cameras; signatures are not checked here.

Words follow the asset rubrics of the C2PA conformance programme (2026-08): *created* by a model in the
active manifest or in its parents' is a wholly generated image; any other generative step, and components,
make parts of it, of unknown size.
"""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.provenance import xmp
from sidscan.provenance.blocks import BlockKind
from sidscan.provenance.families import MarkerKind, family
from sidscan.provenance.manifests import (
    ADOBE_GENERATIVE,
    AI_CONTENT,
    METADATA_LABELS,
    Action,
    Manifest,
    ManifestStore,
)
from sidscan.provenance.metadata import Metadata
from sidscan.provenance.source_types import CAPTURED, GENERATED, PARTLY, term
from sidscan.records import Marker

_CREATED = "c2pa.created"
# Generators that, in files of 2023 and 2024, say *created* and no source type.
_GENERATORS = ("Adobe_Firefly", "Microsoft_Responsible_AI", "Microsoft Responsible AI Image Provenance")
_AGENTS = ("Image Creator from Designer", "Bing Image Creator", "Adobe Firefly")

CREATED = MarkerKind(
    "c2pa-created",
    "ai_generated",
    "not_checked",
    "OpenAI, Google, Adobe Firefly, Microsoft, Black Forest Labs, Amazon, Stability AI, Canva; since 2023",
    "C2PA: `c2pa.created` with source type `trainedAlgorithmicMedia`, in the active manifest or a parent's",
    "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
    "seen",
)
NAMED = MarkerKind(
    "c2pa-generator",
    "ai_generated",
    "not_checked",
    "Adobe Firefly of 2023, Microsoft's Image Creator of 2024",
    "C2PA: `c2pa.created` without a source type, by a generator or an agent that only generates",
    "Adobe_Firefly/1.0",
    "seen",
)
STATED = MarkerKind(
    "c2pa-stated",
    "ai_generated",
    "not_checked",
    "Black Forest Labs, beside `c2pa-created`; whoever puts IPTC metadata into a manifest",
    "C2PA: an assertion `c2pa.ai_generated_content`, or one of metadata (`c2pa.metadata`, `cawg.metadata`, "
    "`stds.iptc` ...) with `DigitalSourceType` `trainedAlgorithmicMedia`, in the active manifest or a "
    "parent's, where no action says it",
    "Flux.2",
    "seen",
)
PART = MarkerKind(
    "c2pa-part",
    "ai_edited",
    "not_checked",
    "Photoshop's generative fill, Google Photos, Samsung's Photo assist; ChatGPT and Designer, which name "
    "their own image a component",
    "C2PA: another action with `trainedAlgorithmicMedia`, `compositeWithTrainedAlgorithmicMedia`, "
    "`compositeSynthetic` or `trainedAlgorithmicData`, an assertion `com.adobe.generative-ai`, or any "
    "manifest besides the active one and its parents' with a generative source type",
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia",
    "seen",
)
CAPTURE = MarkerKind(
    "c2pa-capture",
    "no_ai_claim",
    "not_checked",
    "cameras and phones: Pixel, Leica, Nikon, Sony, Canon, Galaxy",
    "C2PA: `c2pa.created` with `digitalCapture`, `computationalCapture` or `multiFrameComputationalCapture`; "
    "anybody can sign that",
    "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
    "seen",
)
NO_CLAIM = MarkerKind(
    "c2pa-no-claim",
    "no_ai_claim",
    "not_checked",
    "editors and converters",
    "C2PA: a manifest that can be read, whose actions name no generative source type",
    "Adobe_Photoshop/24.3.0",
    "seen",
)
UNREADABLE = MarkerKind(
    "c2pa-unreadable",
    "unreadable",
    "",
    "damaged or compressed manifests",
    "C2PA: a manifest store of which nothing, or not all, can be read",
    "a manifest without a claim",
    "code",
)
ELSEWHERE = MarkerKind(
    "c2pa-elsewhere",
    "held_elsewhere",
    "",
    "Adobe, for files whose manifest is kept on a server",
    "XMP `dcterms:provenance` is an http(s) address, and there is no manifest; sidscan does not ask it",
    "https://cai-manifests.adobe.com/manifests/...",
    "seen",
)
MISSING = MarkerKind(
    "c2pa-missing",
    "none",
    "",
    "whoever removed the manifest, on purpose or by saving again",
    "XMP `dcterms:provenance` names a manifest in the file (`self#jumbf=`), and there is none",
    "self#jumbf=/c2pa/contentauth:urn:uuid:...",
    "seen",
)


@family(CREATED, NAMED, STATED, PART, CAPTURE, NO_CLAIM, UNREADABLE, ELSEWHERE, MISSING)
def find(metadata: Metadata) -> Iterator[Marker]:
    """The markers of every manifest store, or of what refers to one that is not there."""
    for store in metadata.stores:
        found = [*_of_lineage(store), *_of_others(store)]
        active = store.manifests[-1]
        if not found and store.has_active:
            found = [_marker(NO_CLAIM, store, active, "claim_generator", active.generator)]
        yield from found
    unread = [each for each in metadata.unread if each.kind is BlockKind.C2PA]
    for each in unread:
        yield UNREADABLE.marker(each.container, "", each.reason, each.offset)
    if not metadata.stores and not unread:
        for field in metadata.xmp(xmp.DCTERMS, "provenance"):
            if field.value.casefold().startswith(("https://", "http://")):
                yield ELSEWHERE.found(field)
            elif field.value.startswith("self#jumbf="):  # others tell an object's history in this property
                yield MISSING.found(field)


def _of_lineage(store: ManifestStore) -> Iterator[Marker]:
    for manifest in store.lineage:
        kinds = [(_kind(manifest, action), action) for action in manifest.actions]
        if not any(kind in (CREATED, NAMED, PART) for kind, _ in kinds):
            kinds += [(_kind_of_statement(each), each) for each in manifest.statements]
        for kind, action in kinds:
            if kind:
                yield _of_action(kind, store, manifest, action)


def _kind(manifest: Manifest, action: Action) -> MarkerKind | None:
    """What an action of the active manifest, or of a parent's, says."""
    stated = term(action.source_type)
    if action.name == _CREATED and stated in GENERATED:
        return CREATED
    if action.name == _CREATED and _is_named(manifest, action):
        return NAMED
    if stated in GENERATED | PARTLY:
        return PART
    return CAPTURE if action.name == _CREATED and stated in CAPTURED else None


def _kind_of_statement(statement: Action) -> MarkerKind | None:
    stated = term(statement.source_type)
    if statement.name == AI_CONTENT or (statement.name in METADATA_LABELS and stated in GENERATED):
        return STATED
    return PART if statement.name == ADOBE_GENERATIVE or stated in PARTLY else None


def _of_others(store: ManifestStore) -> Iterator[Marker]:
    """Of what the image has parts of: only that something in it was generated."""
    for manifest in store.others:
        for action in (*manifest.actions, *manifest.statements):
            if _kind(manifest, action) in (CREATED, NAMED, PART) or _kind_of_statement(action):
                yield _of_action(PART, store, manifest, action)
                break


def _is_named(manifest: Manifest, action: Action) -> bool:
    product = manifest.generator.split("/")[0].split(" 1.")[0]
    return not action.source_type and (product in _GENERATORS or action.agent in _AGENTS)


def _of_action(kind: MarkerKind, store: ManifestStore, manifest: Manifest, action: Action) -> Marker:
    value = action.source_type or action.agent or manifest.generator
    return _marker(kind, store, manifest, action.name, value, action.agent)


def _marker(
    kind: MarkerKind, store: ManifestStore, manifest: Manifest, key: str, value: str, agent: str = ""
) -> Marker:
    says = ", ".join(dict.fromkeys(filter(None, (agent, manifest.generator))))
    return kind.marker(
        f"{_whose(store, manifest)}{store.container}", key, value, store.offset, says, manifest.signer
    )


def _whose(store: ManifestStore, manifest: Manifest) -> str:
    """Whose manifest it is, if it is not about the file itself."""
    if not store.has_active:
        return "another manifest in "
    if manifest is store.manifests[-1]:
        return ""
    return "a parent's manifest in " if manifest in store.lineage else "a component's manifest in "
