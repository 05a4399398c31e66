"""Makes the images in examples/images and examples/provenance: drawn by arithmetic, nobody's photograph.

    python examples/make_images.py

They only show what a report looks like: no camera and no generator took part, so their scores mean nothing.
The label in examples/provenance/harbour.png is as wrong as it looks: anybody can write one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

HERE = Path(__file__).parent / "images"
PROVENANCE = Path(__file__).parent / "provenance"
LABEL = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about=""
  xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
  xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
  Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
  Iptc4xmpExt:AISystemUsed="Example Diffusion"
  photoshop:Credit="Example Desk"/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def scene(width: int, height: int, seed: int) -> Image.Image:
    """Hills under a sky, with a little noise."""
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 6, width)
    y = np.linspace(0, 1, height)[:, None]
    sky = np.stack([120 + 60 * y + 0 * x, 160 + 40 * y + 0 * x, 230 - 30 * y + 0 * x], axis=-1)
    image = sky
    for depth in range(4):
        ridge = 0.35 + 0.15 * depth + 0.06 * np.sin(x * rng.uniform(0.5, 2) + rng.uniform(0, 6))
        ridge = ridge + 0.01 * np.sin(x * rng.uniform(8, 20))
        colour = np.array([90, 120, 80]) * (1 - 0.18 * depth)
        image = np.where((y > ridge)[..., None], colour * (0.8 + 0.4 * y[..., None]), image)
    noisy = image + rng.normal(0, 3, image.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def main() -> None:
    (HERE / "archive").mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0131] = "Example", "Example One", "examples/make_images.py"
    exif.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"
    scene(640, 480, 1).save(HERE / "hills.jpg", quality=85, exif=exif)
    scene(320, 240, 2).save(HERE / "archive" / "hills.png")
    scene(400, 300, 3).save(HERE / "archive" / "hills.webp", quality=80)
    scene(160, 120, 4).save(HERE / "archive" / "thumbnail.jpg", quality=85)
    PROVENANCE.mkdir(exist_ok=True)
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", LABEL)
    scene(160, 120, 5).quantize(16).save(PROVENANCE / "harbour.png", optimize=True, pnginfo=text)


if __name__ == "__main__":
    main()
