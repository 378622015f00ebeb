"""The one exception of se_mm that speaks to the user rather than to a debugger."""

from __future__ import annotations


class SeMmError(Exception):
    """A mistake that the user can mend.

    The message says what was wrong (file, key, value), what was expected and what to do.
    The tools print it alone and leave with exit status 2; any other exception is a bug
    and keeps its traceback.

    Example:
        >>> raise SeMmError('reduction is 0; expected a positive integer')
        Traceback (most recent call last):
        ...
        se_mm.errors.SeMmError: reduction is 0; expected a positive integer
    """
