"""The only place that knows which stack is installed, in which version, and its private names."""
