"""Reading images in processes that may hang or die: both ends of the pipe."""
