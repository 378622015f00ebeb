"""What is checked of the data before anything trains on it."""
