"""Time and memory of backbones and detectors."""
