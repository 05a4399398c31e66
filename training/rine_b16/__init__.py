"""Train and measure `rine-b16`, RINE's head of ours on CLIP ViT-B/16."""
