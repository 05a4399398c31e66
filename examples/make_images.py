"""Makes the images in examples/images: drawn by arithmetic, so that nobody's photograph is shipped.

    python examples/make_images.py

They only show what a report looks like: no camera and no generator took part, so their scores mean nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent / "images"


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


if __name__ == "__main__":
    main()
