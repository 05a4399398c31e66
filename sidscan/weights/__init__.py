"""The bundled detector: ``mini.safetensors``, its figures ``mini.json`` and its model card ``mini.md``."""
