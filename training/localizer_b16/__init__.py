"""Train localizer-b16 (``sidscan/weights/localizer_b16.md``): composites, tokens, decoder, figures, card."""
