"""Training that can be cut off at any moment: exact resumption, whole checkpoints, steps that stay finite."""
