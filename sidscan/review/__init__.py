"""What people do with a finished run: their marks, the copies of an image, differences between runs."""
