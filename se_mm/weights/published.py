"""Weights by name or URL: where they are published, where they are kept, and their hash."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import Request, urlopen

import torch
from filelock import FileLock
from mmengine.runner import checkpoint as mmengine_checkpoint

from ..errors import SeMmError
from ..utils.console import say
from ..utils.hashing import digest_of
from ..utils.paths import local_file
from ..utils.type_names import type_name
from .files import read_checkpoint

TIMM = 'timm://'
#: Of classifiers that a name is enough for.
SCHEMES = (TIMM, 'mmcls://')
#: Hosts that are gone, and those that serve the same paths; what they serve is taken for its hash alone.
MIRRORS = {'download.openmmlab.com': 'https://mmassets.onedl.ai'}
#: timm's networks that a host of this package can be; others share tensor names and not the graph (blur pooling).
_TIMM_HOSTS = re.compile(
    r'(legacy_)?(se|eca|tv_|gluon_|wide_)?resnex?t(18|34|50|101|152)[cds]?(_\d+x\d+d?|_\d)?|(legacy_)?senet154'
    r'|vgg(11|13|16|19)(_bn)?|inception_v3|inception_resnet_v2|mobilenetv1_(100|125)|(tf_)?efficientnet_lite\d'
)
_ON_HUB = re.compile(
    r'https://huggingface\.co/(?P<repo_id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<filename>[^?]+)'
)


@dataclass(frozen=True)
class Published:
    """A published checkpoint: its name in the config, and the beginning of its hash, where one is published."""

    name: str
    url: str
    sha256: str = ''

    @property
    def file(self) -> Path:
        """Where torch.hub keeps it once fetched; timm and torchvision share that folder."""
        name = Path(urlparse(self.url).path).name
        if not self.sha256:  # many hosts have a model.safetensors
            name = f'{hashlib.sha256(self.url.encode()).hexdigest()[:12]}-{name}'
        return Path(torch.hub.get_dir(), 'checkpoints', name)

    def cached(self) -> Path | None:
        """The file, if it has been fetched."""
        return self.file if self.file.is_file() else None

    @property
    def source(self) -> str:
        """The URL to fetch from: the mirror's where the host is gone."""
        parts = urlparse(self.url)
        return f'{MIRRORS[parts.hostname]}{parts.path}' if parts.hostname in MIRRORS else self.url

    def fetch(self) -> Path:
        """The file, downloaded if need be; an ``SeMmError`` if it cannot be fetched or is not the published one."""
        try:
            file = self.cached() or self._download()
        except (OSError, RuntimeError, ValueError) as error:
            raise SeMmError(
                f'{self.name} cannot be fetched from {self.source}: {error}. To do without a network, '
                f'{self.by_hand()}; or start from random weights: tools/train.py --no-pretrained'
            ) from error
        if not self.is_whole(file):
            raise SeMmError(
                f'{file} is not {self.name} as published: its sha256 must begin with {self.sha256}; '
                f'delete it, and it is fetched again from {self.source}'
            )
        return file

    def is_whole(self, file: Path) -> bool:
        """Whether a file has the published hash; without one, any file is."""
        return not self.sha256 or digest_of(file).startswith(self.sha256)

    def is_reachable(self) -> bool:
        """Whether the URL answers."""
        try:
            with urlopen(Request(self.source, method='HEAD'), timeout=10):
                return True
        except (OSError, ValueError):
            return False

    def copy_into(self, home: Path) -> Path:
        """Copies the file, fetched if need be, to where it is looked for with ``TORCH_HOME`` or ``HF_HOME`` there."""
        file = self.fetch()
        target = home / 'hub' / 'checkpoints' / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(file, target))

    def by_hand(self) -> str:
        """How to bring it to a machine without a network."""
        wanted = f' (its sha256 must begin with {self.sha256})' if self.sha256 else ''
        return f'put the file there as {self.file}{wanted}'

    def _download(self) -> Path:
        if self.source != self.url and not self.sha256:
            raise SeMmError(
                f'{self.name}: the host is gone, and what {self.source} serves cannot be checked: the name has no '
                f'hash. If you trust it, {self.by_hand()}'
            )
        if self.source != self.url:
            say(f'{self.name}: its host is gone; fetched from {self.source}, sha256 begins with {self.sha256}')
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f'{self.file}.lock'):
            if not self.file.is_file():  # another process may have fetched it meanwhile
                torch.hub.download_url_to_file(self.source, str(self.file), self.sha256 or None)
        return self.file


class OnHub(Published):
    """A checkpoint on Hugging Face, through ``huggingface_hub``: its cache, ``HF_ENDPOINT``, ``HF_HUB_OFFLINE``."""

    @property
    def _place(self) -> dict[str, str]:
        return _ON_HUB.match(self.url).groupdict()

    def cached(self) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(**self._place)
        return Path(found) if isinstance(found, str) else None

    def is_reachable(self) -> bool:
        from huggingface_hub import hf_hub_url

        return Published(self.name, hf_hub_url(**self._place)).is_reachable()

    def by_hand(self) -> str:
        return f'run `hf download {self._place["repo_id"]}` elsewhere and copy its cache (HF_HOME)'

    def copy_into(self, home: Path) -> Path:
        file = self.fetch()
        repository = next(folder for folder in file.parents if folder.name.startswith('models--'))
        target = home / 'huggingface' / 'hub' / repository.name
        shutil.copytree(repository, target, symlinks=True, dirs_exist_ok=True)
        return target / file.relative_to(repository)

    def _download(self) -> Path:
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(**self._place))


def is_published(name: str | None) -> bool:
    """Whether a name is that of a published classifier.

    Example:
        >>> is_published('timm://seresnet50.a1_in1k'), is_published('https://host/net.pth')
        (True, False)
    """
    return str(name).startswith(SCHEMES)


def initialisations(init_cfg: Any) -> list[Any]:
    """The entries of an ``init_cfg``, which is one, a list of them, or ``None``."""
    return [init_cfg] if isinstance(init_cfg, Mapping) else list(init_cfg or ())


def is_pretrained(entry: Any) -> bool:
    """Whether an entry of an ``init_cfg`` loads a checkpoint."""
    return isinstance(entry, Mapping) and type_name(entry) in ('Pretrained', 'PretrainedInit')


def read(name: str | Path, map_location: Any = 'cpu') -> tuple[dict[str, Any], Path | None]:
    """The content of a checkpoint by any name that a config may give, and its file.

    Args:
        name: a path, a URL, or a name with a scheme; for one that another project has registered there is no file.
        map_location: of ``torch.load``.

    Raises:
        SeMmError: if it cannot be had or read.
    """
    if not isinstance(name, (str, Path)):
        raise SeMmError(f'a checkpoint must be a path, a URL or a name with a scheme, got {name!r}')
    name = str(name)
    published, file = resolve(name), local_file(name)
    if published is None and file is None:
        try:
            return mmengine_checkpoint.CheckpointLoader.load_checkpoint(name, map_location), None
        except Exception as error:  # whatever the reader of a scheme raises; one without a reader is taken for a path
            raise SeMmError(f'checkpoint {name} cannot be read: {type(error).__name__}: {error}') from error
    file = published.fetch() if published else file
    return read_checkpoint(file, map_location, name), file


def resolve(name: str) -> Published | None:
    """The published file behind a name; ``None`` for a local path, and for schemes of other projects.

    Raises:
        SeMmError: if a scheme has no such name, or the network is none that this package has.

    Example:
        >>> resolve('https://download.pytorch.org/models/resnet50-0676ba61.pth').sha256
        '0676ba61'
    """
    scheme, _, model = name.partition('://')
    if scheme in ('http', 'https'):
        return _at(name, name)
    if scheme == 'timm':
        return _in_timm(name)
    lists = dict.fromkeys(('torchvision', 'modelzoo'), mmengine_checkpoint.get_torchvision_models)
    lists |= dict.fromkeys(('open-mmlab', 'openmmlab'), mmengine_checkpoint.get_external_models)
    lists['mmcls'] = mmengine_checkpoint.get_mmcls_models
    if not model or scheme not in lists:
        return None
    model = mmengine_checkpoint.get_deprecated_model_names().get(model, model) if 'mmlab' in scheme else model
    url = lists[scheme]().get(model)
    if url is None:
        raise SeMmError(f'{scheme}:// has no weights named {model}')
    return _at(name, url)


def _at(name: str, url: str) -> Published:
    # Eight digits from 20 on are a date.
    hashed = re.search(r'-(?!20\d{6}\.)([0-9a-f]{8,64})\.\w+$', urlparse(url).path)
    kind = OnHub if _ON_HUB.match(url) and find_spec('huggingface_hub') else Published
    return kind(name, url, hashed[1] if hashed else '')


def _in_timm(name: str) -> Published:
    model = name.removeprefix(TIMM)
    architecture = model.partition('.')[0]
    if not _TIMM_HOSTS.fullmatch(architecture):
        raise SeMmError(
            f'{name}: se_mm has no network like it; it takes (legacy_)(se)resnet and (legacy_)(se)resnext of '
            '18, 34, 50, 101 and 152 layers, (legacy_)senet154, ecaresnet50d and ecaresnet101d, vgg of 11, 13, 16 and '
            '19 layers, inception_v3, inception_resnet_v2, mobilenetv1_100 and _125, and (tf_)efficientnet_lite0 to 4'
        )
    try:
        from timm.models import get_pretrained_cfg, is_model, list_pretrained
    except ImportError as error:
        raise SeMmError(f"{name} needs timm's list of weights: pip install timm ({error})") from error
    if not is_model(architecture):
        raise SeMmError(f'timm has no model {architecture}')
    try:
        published = get_pretrained_cfg(model)
    except (RuntimeError, AttributeError):  # no such tag
        published = None
    if published is None or not (published.url or published.hf_hub_id):
        has = ', '.join(list_pretrained(f'{architecture}.*')) or 'none'
        raise SeMmError(f'timm publishes no weights {model}; for {architecture} it has: {has}')
    return _at(name, published.url or f'https://huggingface.co/{published.hf_hub_id}/resolve/main/model.safetensors')
