"""Curves, sheets of pictures, charts."""
