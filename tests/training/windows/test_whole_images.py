"""The list of whole images."""

from __future__ import annotations

from sidscan.training.windows.whole_images import read_image_list


def test_the_list_names_every_image_once() -> None:
    """An image that is listed twice would count twice in thresholds and figures."""
    blobs = [image.blob for image in read_image_list()]
    assert len(set(blobs)) == len(blobs) > 1600
