"""Foreign checkpoints: reading files safely, the families' key maps, loading completely or not at all."""
