"""One published method per file; the file name is the name. Nothing to edit here when one is added."""
