"""What mmengine prints while weights are initialised."""

from __future__ import annotations

import logging

from mmengine.logging import MMLogger
from torch import nn


class QuietInitialisation(nn.Module):
    """Initialises itself without a word on the console; stands before mmengine's ``BaseModule`` in the bases.

    mmengine prints two lines for each parameter where no log file takes them, and only a private method can stop it.
    """

    def _dump_init_info(self) -> None:
        if any(isinstance(handler, logging.FileHandler) for handler in MMLogger.get_current_instance().handlers):
            super()._dump_init_info()
