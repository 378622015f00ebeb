"""How a network gets attention."""
