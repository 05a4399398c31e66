"""Code that the three training packages (rine, evaluation, mini) share."""
