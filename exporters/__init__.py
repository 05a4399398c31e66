"""Exporters of detectors to other runtimes; imported as ``sidscan.exporters``."""
