"""Networks that were trained with several seeds, held against each other."""
