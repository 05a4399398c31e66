"""AIGCDetectBenchmark (Zhong et al., "PatchCraft", 2023): GAN and diffusion sets, laid out as CNNDetection's.

DATA/[test/]<set>/[<class>/]{0_real,1_fake}/*
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sidscan.util.bibtex import Citation

from ..folders import below, require_images
from ..rows import LabelledImage, Wanted
from . import KnownSet, Layout, register
from .chameleon import require_label_folders

_SETS = (  # key, which is the folder's name without regard to capitals; title; family
    ("progan", "ProGAN", "gan"),
    ("stylegan", "StyleGAN", "gan"),
    ("biggan", "BigGAN", "gan"),
    ("cyclegan", "CycleGAN", "gan"),
    ("stargan", "StarGAN", "gan"),
    ("gaugan", "GauGAN", "gan"),
    ("stylegan2", "StyleGAN2", "gan"),
    ("whichfaceisreal", "WFIR", "gan"),
    ("adm", "ADM", "diffusion"),
    ("glide", "Glide", "diffusion"),
    ("midjourney", "Midjourney", "diffusion"),
    ("stable_diffusion_v_1_4", "SD 1.4", "diffusion"),
    ("stable_diffusion_v_1_5", "SD 1.5", "diffusion"),
    ("vqdm", "VQDM", "diffusion"),
    ("wukong", "Wukong", "diffusion"),
    ("dalle2", "DALL-E 2", "diffusion"),
    ("sdxl", "SDXL", "diffusion"),
)
_OWN = ("whichfaceisreal", "adm", "midjourney", "vqdm", "wukong", "stable_diffusion_v_1_4")
_PAPER = Citation(
    key="zhong2023patchcraft",
    kind="article",
    title="PatchCraft: Exploring Texture Patch for Efficient AI-generated Image Detection",
    authors=("Zhong, Nan", "Xu, Yiran", "Li, Sheng", "Qian, Zhenxing", "Zhang, Xinpeng"),
    year=2023,
    venue="arXiv preprint",
    arxiv="2311.12397",
)


@register
class AIGCDetectBenchmark(Layout):
    """One set for each generator; all are for tests."""

    name = "aigcdetectbenchmark"
    expected = "test/ADM/0_real, test/ADM/1_fake, test/progan/<class>/0_real, test/progan/<class>/1_fake"
    source = "Zhong et al., arXiv 2311.12397"
    papers = (_PAPER,)
    known_sets = tuple(KnownSet(key, title, family) for key, title, family in _SETS)

    def recognises(self, data: Path) -> bool:
        """Whether a set is there that CNNDetection's has not."""
        root = data / "test" if (data / "test").is_dir() else data
        found = (
            (folder for folder in root.iterdir() if folder.name.casefold() in _OWN) if root.is_dir() else ()
        )
        return any((folder / "1_fake").is_dir() for folder in found)

    def images(self, data: Path, wanted: Wanted) -> Iterator[LabelledImage]:
        """Set by set in the order of tables; in a set, real images first."""
        found: dict[str, list[LabelledImage]] = {}
        titles = {known.key: known.title for known in self.known_sets}
        for one in require_label_folders(data, self.expected):
            names = one.above[1:] if one.above[:1] == ("test",) else one.above
            key = (names or (data.resolve().name,))[0].casefold()
            if wanted.sets and key not in wanted.sets:
                continue
            generator = titles.get(key, key) if one.synthetic else ""
            group = "/".join(names[1:])
            for path in require_images(one.folder, f"the images of {key}"):
                found.setdefault(key, []).append(
                    LabelledImage(path, below(path, data), one.synthetic, key, "test", generator, group)
                )
        for key in sorted(
            found, key=lambda key: (list(titles).index(key) if key in titles else len(titles), key)
        ):
            yield from sorted(found[key], key=lambda image: image.synthetic)
