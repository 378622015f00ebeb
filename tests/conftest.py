"""se_mm comes first: it prepares the stack before anything imports mmcv.ops."""

import se_mm  # noqa: F401
