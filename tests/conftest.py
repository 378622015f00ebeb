"""se_mm comes first: it prepares the stack before anything imports mmcv.ops."""

from hypothesis import settings

import se_mm  # noqa: F401

# The same examples in every run; `pytest --hypothesis-profile=default` looks for new ones.
settings.register_profile('repeatable', derandomize=True, deadline=None)
settings.load_profile('repeatable')
