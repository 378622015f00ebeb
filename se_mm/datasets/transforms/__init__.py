"""Loading and cropping pictures."""
