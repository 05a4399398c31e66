"""Detectors of ours: of each the weights, its figures (JSON) and its model card (Markdown).

``mini`` is whole; ``rine_b16`` is a head that reads CLIP ViT-B/16.
"""
