"""How image files are built: chunks, segments, boxes, blocks and directories, without what they mean."""
