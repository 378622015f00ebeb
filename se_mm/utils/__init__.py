"""Files, paths and processes."""
