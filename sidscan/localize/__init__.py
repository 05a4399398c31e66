"""Where in an image: a localizer's map of probabilities, as files, figures and drawings."""
