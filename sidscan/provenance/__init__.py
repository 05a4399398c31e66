"""What a file says of its own origin: claims in its metadata, as stated. No pixel is looked at.

The way of a file: `places` find blocks of metadata in its container; `xmp`, `exif`, `iptc` and `manifests`
read fields and claims in them; `families` say which of these mean what; `read` gives one verdict.
"""
