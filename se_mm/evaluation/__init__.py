"""Metrics, and where a test leaves its predictions."""
