"""Training and measuring the bundled detector."""
