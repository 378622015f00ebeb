"""What the gates of a trained network do, what it loses without them, and how they become part of its weights."""
