"""Getting data: archives, formats, generated sets."""
