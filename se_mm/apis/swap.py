"""The SE twin of a config as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..config.load import load_config
from ..errors import SeMmError
from ..models.hosts.attention_names import attention_named, parts_named
from ..swap import plan_swap, write_twin


def swap(
    config: str, output: Path, *, overwrite: bool = False, attention: str | None = None, **options: Any
) -> list[str]:
    """Writes the SE twin of a config, as a file that inherits from it.

    Args:
        config: a config file, or ``package::path`` of one that a package ships.
        output: the file to write; nothing is written where there is nothing to change.
        overwrite: whether it may replace a file.
        attention: another layer than SE, as the command line names it (``'eca'``, ``'cbam,reduction=8'``,
            ``'se@backbone+neck'``).
        **options: the other arguments of :func:`se_mm.swap_backbone`.

    Returns:
        What was chosen, line by line.

    Raises:
        SeMmError: if there is no host in the model, its twin cannot be built, or the file not be written.
    """
    if output.exists() and not overwrite:
        raise SeMmError(f'{output} is there already; --force writes over it')
    cfg = load_config(config)
    if attention:
        attention, options['parts'] = parts_named(attention)
    plan = plan_swap(cfg, attention=attention and attention_named(attention), **options)
    if not plan.changes:
        return [*plan.notes, 'nothing to change: no file is written']
    write_twin(plan, cfg, config, output)
    return [*plan.notes, f'written: {output}']
