"""Training: data, augmentation, fitting and evaluation. The product imports nothing from here."""
