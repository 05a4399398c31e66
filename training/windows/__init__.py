"""Labelled windows of public images: what every detector trained on them needs, whatever its network is."""
