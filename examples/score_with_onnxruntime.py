"""Scores of images' centre crops: python score_with_onnxruntime.py FILE.onnx PICTURE..."""

import json
import sys

import numpy as np
import onnxruntime as ort
from PIL import Image

session = ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
detectors = json.loads(session.get_modelmeta().custom_metadata_map["sidscan"])["detectors"]
for name in sys.argv[2:]:
    image = Image.open(name).convert("RGB")  # 224 px or more a side
    left, top = (round((side - 224) / 2) for side in image.size)
    crops = np.asarray(image.crop((left, top, left + 224, top + 224)))[None]
    for detector, logits in zip(detectors, session.run(None, {"crops": crops})):
        print(name, detector["name"], 1 / (1 + np.exp(-logits[0])))
