"""`sidscan calibrate`: a scan of known camera images, and the thresholds that follow from its logits."""
