"""What the three kinds of training share."""
