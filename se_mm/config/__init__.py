"""Reading configs, laying the command line over them, and the weights that they name."""
