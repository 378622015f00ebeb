"""Time and memory of backbones, detectors and data loading."""
