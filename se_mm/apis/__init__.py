"""Training, testing and inference as functions."""
