"""Training a head on a frozen CLIP encoder, as the paper does: `sidscan train`, `sidscan study`."""
