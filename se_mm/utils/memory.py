"""How much memory a process has had."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path


def peak_resident_bytes() -> int:
    """The most memory that this process has had from the system so far."""
    status = Path('/proc/self/status')
    own = re.search(r'VmHWM:\s+(\d+) kB', status.read_text()) if status.is_file() else None
    if own:  # Linux, where ru_maxrss of a new process starts at its parent's
        return 1024 * int(own[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == 'darwin' else 1024 * peak
