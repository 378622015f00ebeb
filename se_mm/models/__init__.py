"""Attention, hosts and backbones; types are registered in :mod:`se_mm.models.registered`."""
