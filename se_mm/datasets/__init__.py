"""Places365 and CIFAR; transforms, preparation, validation."""
