"""`sidscan calibrate`: a scan of known camera images, and what follows from its logits."""
