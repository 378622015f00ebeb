"""What networks and finished trainings say about each other; what gates do."""
