"""Training that survives interruption: exact resumption, atomic checkpoints, skipped non-finite steps."""
