"""Turning the backbone of an existing config into its SE twin."""

from .config_file import write_twin
from .twin_config import plan_swap, swap_backbone

__all__ = ['plan_swap', 'swap_backbone', 'write_twin']
