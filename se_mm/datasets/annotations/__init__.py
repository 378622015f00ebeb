"""Annotations of boxes: one record for every format, one reader for each, one list of checks."""
