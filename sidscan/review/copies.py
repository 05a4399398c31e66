"""Which images of a run are copies: equal bytes, and images that show the same by their perceptual hashes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from sidscan.records import Copies, ScanResult

if TYPE_CHECKING:
    from sidscan.review.near_hashes import Nears

_AT_ONCE = 128  # hashes looked up together, at most


class Candidate(NamedTuple):
    """What decides whether an input is a copy.

    Attributes:
        perceptual_hash: empty where nobody made one, or there is too little detail for one.
        strength: of its strongest score (`ScanResult.strongest`); None without one.
        score: of the run's first model.
    """

    sha256: str
    name: str
    perceptual_hash: str
    strength: float | None
    score: float | None

    @classmethod
    def of(cls, result: ScanResult) -> Candidate | None:
        """None of an input whose bytes are unknown."""
        if result.facts.sha256 is None:
            return None
        strength = result.strongest.strength if result.strongest else None
        score = result.scores[0].score if result.scores else None
        shows = result.facts.perceptual_hash or ""
        return cls(result.facts.sha256, result.name, shows, strength, score)


@dataclass(slots=True)
class _Image:
    """Distinct bytes, and all inputs that have them; else as `Candidate`."""

    names: list[str]
    perceptual_hash: str
    strength: float | None
    score: float | None

    @classmethod
    def of(cls, candidate: Candidate) -> _Image:
        return cls([candidate.name], *candidate[2:])

    def add(self, other: _Image) -> None:
        """Another input with the same bytes; one of them may lack what the other has.

        The first input with a score speaks for all: lists of the strongest evidence show no other.
        """
        self.perceptual_hash = self.perceptual_hash or other.perceptual_hash
        if self.strength is None and other.strength is not None:
            self.names = other.names + self.names
            self.strength, self.score = other.strength, other.score
        else:
            self.names += other.names


@dataclass(frozen=True, slots=True)
class _Member:
    """An image of a group, and how it relates to the group's strongest."""

    image: _Image
    distance: int = 0
    transform: str | None = None


def find_copies(results: Iterable[ScanResult]) -> dict[str, Copies]:
    """How inputs relate to others that show the same image, by name; inputs without copies are left out.

    A group is named after its image with the strongest evidence. All of its hashes are near that one's:
    likeness is not passed on from member to member, or a group could drift away from where it began.
    """
    return copies_among(filter(None, map(Candidate.of, results)))


def copies_among(candidates: Iterable[Candidate]) -> dict[str, Copies]:
    """As `find_copies`, of what decides."""
    images = _distinct_images(candidates)
    images.sort(key=lambda image: (image.strength is None, -(image.strength or 0)))
    found: dict[str, Copies] = {}
    for group in _groups(images):
        if sum(len(member.image.names) for member in group) > 1:
            found.update(_relations(group))
    return found


def _distinct_images(candidates: Iterable[Candidate]) -> list[_Image]:
    """In the order of the inputs."""
    by_sha256: dict[str, _Image] = {}
    for candidate in candidates:
        if (known := by_sha256.get(candidate.sha256)) is None:
            by_sha256[candidate.sha256] = _Image.of(candidate)
        else:
            known.add(_Image.of(candidate))
    return list(by_sha256.values())


def _groups(images: Iterable[_Image]) -> Iterator[list[_Member]]:
    """Images that show the same, the strongest first; an image without copies is a group, too."""
    by_hash: dict[str, list[_Image]] = {}
    for image in images:
        if image.perceptual_hash:
            by_hash.setdefault(image.perceptual_hash, []).append(image)
        else:
            yield [_Member(image)]
    hashes = list(by_hash)
    for nears in _clusters(hashes) if hashes else ():
        yield [
            _Member(image, near.distance, near.transform)
            for near in nears
            for image in by_hash[hashes[near.index]]
        ]


def _clusters(hashes: list[str]) -> Iterator[Nears]:
    """Each hash once: with the first of those before it that it is near, or else the first of a cluster.

    Many are looked up at once where clusters are small: of one cluster, all but the first are for nothing.
    """
    from sidscan.review.near_hashes import HashIndex  # needs NumPy, for which `scan --help` does not wait

    index, left, at_once = HashIndex(hashes), len(hashes), 1
    places = (place for place in range(len(hashes)) if index.free[place])  # as it is when it is asked
    while asked := list(islice(places, at_once)):
        found = 0
        for place, nears in zip(asked, index.near_each([hashes[place] for place in asked]), strict=True):
            found += len(nears)
            if index.free[place]:
                cluster = nears.among(index.free)  # by index: itself comes first
                index.remove(cluster.indices)
                left -= len(cluster)
                yield cluster
        at_once = max(1, min(2 * at_once, _AT_ONCE, left * len(asked) // (2 * found)))


def _relations(group: list[_Member]) -> Iterator[tuple[str, Copies]]:
    """Each input of a group of several, and how it relates to the others."""
    names = [name for member in group for name in member.image.names]
    scores = [member.image.score for member in group if member.image.score is not None]
    for member in group:
        first, *others = member.image.names
        for name in (first, *others):
            yield (
                name,
                Copies(
                    same_as=first if name is not first else None,
                    group=names[0],
                    distance=member.distance,
                    transform=member.transform,
                    count=len(names),
                    score_min=min(scores, default=None),
                    score_max=max(scores, default=None),
                ),
            )
