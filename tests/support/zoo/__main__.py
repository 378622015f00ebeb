"""The sweep: ``make zoo`` prints its tables and writes them to docs/zoo.md.

``make zoo ATTENTION=eca`` takes another layer than SE, for a fixed sample of the configs, and writes nothing.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections import Counter
from importlib import import_module
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tqdm import tqdm

from se_mm.utils.tables import markdown_table

from . import builds, identity, networks
from .configs import PACKAGES, error_of, one_of_each, shipped, with_hosts

PAGE = Path(__file__).resolve().parents[3] / 'docs' / 'zoo.md'
#: How many configs and model types another layer is tried in.
SAMPLED_BUILDS, SAMPLED_RUNS = 60, 10
#: What keeps a model type from running with random weights and without files, whatever its backbone.
CAUSES = {
    'CLRNet': 'as shipped it names a preprocessor that mmdet does not register',
    'GroundingDINO': 'needs the weights and the vocabulary of BERT',
    'StrongSORT': 'loads a checkpoint for linking tracks when it is built',
}


def built(found: list, attention: str = 'se') -> dict[str, str | None]:
    """What went wrong with each config, ``None`` where nothing did."""
    with TemporaryDirectory() as folder:
        return {
            config.name: error_of(lambda c=config, g=cfg, h=hosts: builds.check(c, g, h, Path(folder), attention))
            for config, cfg, hosts in tqdm(found, 'building', file=sys.stdout)
        }


def sweep() -> bool:
    start = time.perf_counter()
    configs = shipped()
    found = list(with_hosts(tqdm(configs, 'reading', file=sys.stdout)))
    errors = built(found)
    failed = {name: error for name, error in errors.items() if error}
    counts = Counter((hosts[0].type, errors[config.name] is None) for config, _, hosts in found)
    ran, stopped = [], {}
    for kind, (config, cfg) in tqdm(one_of_each(found).items(), 'running', file=sys.stdout):
        error = error_of(lambda k=kind, c=config, g=cfg: ran.append((k, c.name, *identity.check(c, g))))
        if error:
            stopped[f'{kind} ({config.name})'] = CAUSES.get(cfg.model.type, error)
    minutes = (time.perf_counter() - start) / 60
    of_networks, broken = networks.section()
    page = [*lines(len(configs), counts, failed, ran, stopped, minutes), '', *of_networks]
    PAGE.write_text('\n'.join(page) + '\n')
    print(*page, sep='\n')
    return not failed and not broken and set(stopped.values()) <= set(CAUSES.values())


def lines(total: int, counts: Counter, failed: dict, ran: list[tuple], stopped: dict, minutes: float) -> list[str]:
    versions = ', '.join(f'{name} {import_module(name).__version__}' for name in ('mmengine', 'mmcv', *PACKAGES))
    names = sorted({name for name, _ in counts})
    rows = [(name, counts[name, True] + counts[name, False], counts[name, True]) for name in names]
    return [
        '# The zoo: the SE twin of every config that mmdet and mmpretrain ship',
        '',
        f'Written by `make zoo` in {minutes:.0f} minutes, with torch {torch.__version__}, {versions}.',
        '',
        f'Of {total} files, {sum(counts.values())} are configs of a model with a backbone that SE can be put into.',
        "For each: the twin builds, the parameters that it adds are those of timm's `SEModule` in each unit, its",
        'maps have the shapes of the plain ones, the file that `tools/swap_backbone.py` writes reads back as the',
        'same config, and the original builds as before.',
        '',
        *markdown_table(('backbone', 'configs', 'twins as they should be'), rows),
        '',
        *(f'- {name}: {error}' for name, error in failed.items()),
        '',
        'For the lightest config of each model type, with random weights on a CPU: given the same weights, the twin',
        "with `se_init='identity'` has the losses and predictions of the plain model; after one step with gates that",
        'start where a layer starts, every SE parameter that is not frozen has moved. The numbers count what was',
        'compared.',
        f'{len(ran)} of {len(ran) + len(stopped)} do.',
        '',
        *markdown_table(('model', 'config', 'losses', 'predictions', 'SE parameters that learn'), ran),
        '',
        'These cannot be run like this:',
        '',
        *(f'- {config}: {cause}' for config, cause in stopped.items()),
    ]


def sample(attention: str) -> bool:
    configs = shipped()
    found = list(islice(with_hosts(configs[:: len(configs) // (2 * SAMPLED_BUILDS)]), SAMPLED_BUILDS))
    errors = built(found, attention)
    for config, cfg in islice(one_of_each(found).values(), SAMPLED_RUNS):
        errors[f'{config.name} runs'] = error_of(lambda c=config, g=cfg: identity.check(c, g, attention))
    failed = [f'{name}: {error}' for name, error in errors.items() if error]
    print(*failed, f'{attention}: {len(errors)} checks, {len(failed)} failed', sep='\n')
    return not failed


if __name__ == '__main__':
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    sys.exit(not (sample(*sys.argv[1:]) if sys.argv[1:] else sweep()))
