"""What any part may use: files, threads, terminal text, URLs; nothing about images or models."""
