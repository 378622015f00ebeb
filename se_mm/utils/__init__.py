"""Files and paths."""
