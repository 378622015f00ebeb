"""The exceptions of the package, and the statuses of its commands."""

from __future__ import annotations

from collections.abc import Sequence

#: Exit status of a tool after a mistake of the user.
USER_ERROR = 2
#: After what another package raised, and after a bug.
FAILURE = 1
#: After Ctrl-C, as of a shell.
INTERRUPTED = 130
#: After a checkpoint was saved on SIGTERM ("temporary failure, try again" in sysexits.h).
PREEMPTED_STATUS = 75
#: Set in the environment: what led to a message is shown before it.
TRACEBACK_VARIABLE = 'SE_MM_TRACEBACK'


class SeMmError(Exception):
    """A mistake that the user can mend.

    The message says what was wrong (file, key, value), what was expected and what to do.
    The tools print it alone and leave with exit status 2; any exception that is not of this module is a bug
    and shows its traceback.

    Attributes:
        is_reported: whether another process reports it.

    Example:
        >>> raise SeMmError('reduction is 0; expected a positive integer')
        Traceback (most recent call last):
        ...
        se_mm.errors.SeMmError: reduction is 0; expected a positive integer
    """

    is_reported = False


class RunError(Exception):
    """What another package raised while a config was built or run.

    The message is its last line, with the key of the config where that is known, and the log file, which has the
    traceback. The tools print it alone and leave with exit status 1.
    """


def listed(names: Sequence[str], most: int = 10) -> str:
    """Names for a message: the first few, and how many more there are.

    Example:
        >>> listed(['conv1', 'bn1', 'fc'], most=2)
        'conv1, bn1 and 1 more'
    """
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(map(str, names[:most])) + more
