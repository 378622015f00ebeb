"""The configs of the installed packages that have a backbone that SE can be put into."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from mmengine.config import Config

from se_mm import SeMmError
from se_mm.models.hosts.adapters import find_adapter
from se_mm.swap.hosts import Host, find_hosts, scope_of

PACKAGES = ('mmdet', 'mmpretrain')


@dataclass(frozen=True)
class Shipped:
    """A config of a package."""

    package: str
    path: Path

    @property
    def name(self) -> str:
        return f'{self.package}::{self.path.relative_to(folder_of(self.package))}'

    @property
    def base(self) -> str:
        """How a config inherits from it: mmengine's ``package::path`` knows no ``+``, and no dots in folders."""
        try:
            Config._get_cfg_path(self.name, '')
        except ValueError:
            return str(self.path)
        return self.name


def folder_of(package: str) -> Path:
    return Path(import_module(package).__file__).parent / '.mim' / 'configs'


def shipped() -> list[Shipped]:
    return [
        Shipped(package, path)
        for package in PACKAGES
        for path in sorted(folder_of(package).rglob('*.py'))
        if '_base_' not in path.parts
    ]


def read(config: Shipped) -> Config | None:
    """``None`` where the package itself cannot read what it ships, or it is no config of a model."""
    try:
        cfg = Config.fromfile(config.path)
    except Exception:
        return None
    return cfg if isinstance(cfg.get('model'), dict) else None


def hosts(cfg: Config) -> list[Host]:
    """The networks of a config that a swap is to change."""
    try:
        return [host for host in find_hosts(cfg) if not (host.has_se or host.is_teacher or all_native(host, cfg))]
    except SeMmError:
        return []


def all_native(host: Host, cfg: Config) -> bool:
    """Whether a network has attention of its own wherever it could stand, and is left alone."""
    if not find_adapter(host.cls).exact:
        return False
    kind, own, total = host.native(scope_of(cfg))
    return bool(kind) and own == total


def with_hosts(configs: list[Shipped]) -> Iterator[tuple[Shipped, Config, list[Host]]]:
    for config in configs:
        cfg = read(config)
        found = hosts(cfg) if cfg else []
        if found:
            yield config, cfg, found


def one_of_each(found: list) -> dict[str, tuple[Shipped, Config]]:
    """The lightest config of each model type."""
    lightest: dict[str, tuple[tuple, Shipped, Config]] = {}
    for config, cfg, hosts in found:
        weight = (
            max(host.config.get('depth', 50) for host in hosts),
            hosts[0].cls.__name__ != 'ResNet',
            len(config.name),
        )
        kind = f'{config.package}.{cfg.model.type}'
        if kind not in lightest or weight < lightest[kind][0]:
            lightest[kind] = (weight, config, read(config))
    return {kind: (config, cfg) for kind, (_, config, cfg) in lightest.items()}


def error_of(check: Callable[[], object]) -> str | None:
    try:
        check()
    except Exception as error:
        return f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
    return None
