"""Complexity as text: of configs, and of the paper's networks."""

from __future__ import annotations

from collections.abc import Sequence

from ..config.load import load_config
from ..errors import SeMmError
from ..utils.tables import markdown_table
from .complexity import complexity_of
from .paper_networks import CIFAR, IMAGENET, table

CONVENTION = (
    'GMAC: billions of multiply-adds (half of the FLOPs that torch.utils.flop_counter counts) of convolutions and '
    'matrix products, for one picture. Pooling, norms, activations, additions and the scaling by gates are not counted.'
)
#: Detectors in the form that others counted at 800 x 1280 (stride in the 3x3 convolution), and their GMAC.
DETECTORS = {
    'se_mm::faster_rcnn_r50_coco.py': 207.07,
    'se_mm::faster_rcnn_se_r50_coco.py': 207.18,
}


def of_configs(names: Sequence[str], size: Sequence[int] | None = None) -> tuple[str, list[str]]:
    """Markdown: the parts of the models of some configs.

    Args:
        names: as :func:`se_mm.config.load.load_config` takes them.
        size: height and width of the picture; ``None``: see :func:`.complexity.complexity_of`.

    Returns:
        The text, empty if no config could be counted, and for each of those that could not why.
    """
    rows, notes, failed = [], [], []
    for name in names:
        try:
            found = complexity_of(load_config(name, data_root=''), tuple(size) if size else None)
        except SeMmError as error:
            failed.append(str(error) if name in str(error) else f'{name}: {error}')
            continue
        height, width = found.size
        parts = [*found.parts, *([found.whole] if found.whole else [])]
        for i, (part, parameters, macs) in enumerate(parts):
            first = ['', '', ''] if i else [name, f'{height}x{width}', found.style]
            what = f'**{part}**' if parts[i] is found.whole else part
            rows.append([*first, what, f'{parameters:,}', f'{macs / 1e9:.4f}'])
        notes += [f'- {name}: {line}' for line in found.notes]
    table = markdown_table(['config', 'input', 'style', 'part', 'parameters', 'GMAC'], rows)
    text = '\n'.join([CONVENTION, '', *table, *(['', *notes] if notes else [])])
    return text if rows else '', failed


def of_the_paper() -> str:
    """Markdown: the networks of the paper, plain and with SE, and two detectors."""
    detectors = []
    for name, published in DETECTORS.items():
        cfg = load_config(name, {'model.backbone.style': 'pytorch'}, data_root='')
        whole = complexity_of(cfg).whole
        giga = whole.macs / 1e9
        difference = f'{100 * (giga / published - 1):+.2f}%'
        detectors.append([name, f'{whole.parameters:,}', f'{giga:.2f}', published, difference])
    return '\n'.join(
        [
            '# Complexity',
            '',
            'Written by `python tools/complexity.py -o docs/complexity.md`. '
            '`python tools/complexity.py CONFIG ...` counts any classifier or detector, part by part.',
            '',
            CONVENTION,
            '',
            "Each row: the plain network → the same with SE, with the classifier. The paper's figures are those of "
            'arXiv 1709.01507v4 ("GFLOPs" there are multiply-adds). They are rounded to two or three decimals and '
            'contain what is not counted here; in ResNet-50 the scaling and the pooling of SE are 0.011 GMAC.',
            '',
            '## ImageNet',
            '',
            *table(IMAGENET),
            '',
            '## CIFAR',
            '',
            'The paper gives no figures for these.',
            '',
            *table(CIFAR),
            '',
            '## Detectors',
            '',
            'At 800x1280 with 1,000 proposals, with the stride in the 3x3 convolution, next to the figures of ECA-Net '
            '(arXiv 1910.03151, table 5).',
            '',
            *markdown_table(['config', 'parameters', 'GMAC', 'GMAC there', 'difference'], detectors),
        ]
    )
