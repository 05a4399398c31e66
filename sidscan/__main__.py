"""``python -m sidscan``."""

from sidscan.cli import main

main()
