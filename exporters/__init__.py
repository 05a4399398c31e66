"""Graphs of detectors for other runtimes. The product imports this only when `sidscan export-onnx` runs."""
