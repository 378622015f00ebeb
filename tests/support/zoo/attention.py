"""``make zoo ATTENTION=eca``: a fixed sample of the shipped configs with another layer than SE."""

from __future__ import annotations

import logging
import sys
import warnings
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from . import builds, identity
from .configs import error_of, one_of_each, shipped, with_hosts

BUILDS, RUNS = 60, 10


def main(name: str) -> None:
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    configs = shipped()
    found = list(islice(with_hosts(configs[:: len(configs) // (2 * BUILDS)]), BUILDS))
    failed = {}
    with TemporaryDirectory() as folder:
        for config, cfg, hosts in found:
            failed[config.name] = error_of(lambda c=config, g=cfg, h=hosts: builds.check(c, g, h, Path(folder), name))
    runs = list(islice(one_of_each(found).values(), RUNS))
    for config, cfg in runs:
        failed[f'{config.name} runs'] = error_of(lambda c=config, g=cfg: identity.check(c, g, name))
    failures = [f'{what}: {error}' for what, error in failed.items() if error]
    print(*failures, sep='\n')
    good = sum(error is None for error in failed.values())
    print(f'{name}: {len(found)} configs and {len(runs)} model types; {good} as they should be, {len(failures)} not')
    sys.exit(bool(failures))


if __name__ == '__main__':
    main(sys.argv[1])
