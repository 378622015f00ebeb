"""Networks in the form in which they are fastest, and as files for other runtimes."""
