"""Data sets and their transforms: Places365, and the set that the demo draws."""
