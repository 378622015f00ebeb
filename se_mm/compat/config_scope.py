"""Lets a config of another project inherit from ours: ``_base_ = 'se_mm::faster_rcnn_se_r50_coco.py'``.

mmengine resolves ``package::path`` for a fixed list of packages, and only for paths with a
folder in them; our configs are flat. Everything after the name (finding the installed
package, its ``.mim`` folder, the file) is mmengine's own.
"""

from __future__ import annotations

from functools import wraps

PREFIX = 'se_mm::'


def install() -> None:
    """Teaches mmengine's config reader the ``se_mm::`` prefix, once."""
    from mmengine.config import config, utils

    resolve = utils._get_package_and_cfg_path
    if getattr(resolve, 'knows_se_mm', False):
        return

    @wraps(resolve)
    def resolve_se_mm_too(cfg_path: str) -> tuple[str, str]:
        if cfg_path.startswith(PREFIX):
            return 'se_mm', cfg_path.removeprefix(PREFIX)
        return resolve(cfg_path)

    resolve_se_mm_too.knows_se_mm = True
    for module in (config, utils):  # config holds its own reference; mmengine.hub takes the one of utils
        module._get_package_and_cfg_path = resolve_se_mm_too
