"""``make zoo ATTENTION=eca``: a fixed sample of the shipped configs with another layer than SE."""

from __future__ import annotations

import logging
import sys
import warnings
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from . import builds, identity
from .configs import shipped, with_hosts

BUILDS, RUNS = 60, 10


def main(name: str) -> None:
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    configs = shipped()
    found = list(islice(with_hosts(configs[:: len(configs) // (2 * BUILDS)]), BUILDS))
    failed, kinds, ran = [], set(), 0
    with TemporaryDirectory() as folder:
        for config, cfg, hosts in found:
            try:
                builds.check(config, cfg, hosts, Path(folder), name)
            except Exception as error:
                failed.append(f'{config.name}: {error}')
    for config, cfg, _ in found:
        kind = cfg.model.type
        if kind in kinds or ran == RUNS:
            continue
        kinds.add(kind)
        try:
            identity.check(config, cfg, name)
            ran += 1
        except Exception as error:
            failed.append(f'{config.name} runs: {error}')
    print('\n'.join(failed))
    print(f'{name}: {len(found)} configs built, {ran} model types start equal and learn, {len(failed)} failures')
    sys.exit(bool(failed))


if __name__ == '__main__':
    main(sys.argv[1])
