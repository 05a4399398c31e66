"""What people do with a finished run: marks, copies of an image, closer looks, differences between runs."""
