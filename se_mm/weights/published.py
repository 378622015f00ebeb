"""Weights by name or URL: where they are published, where they are kept, and their hash."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlparse
from urllib.request import Request, urlopen

import torch
from mmengine.dist import barrier

from ..errors import SeMmError
from ..utils.hashing import digest_of

TIMM = 'timm://'
_LOCAL_RANKS = ('LOCAL_RANK', 'SLURM_LOCALID', 'OMPI_COMM_WORLD_LOCAL_RANK')
#: timm's networks that a host of this package can be; others share tensor names and not the graph (blur pooling).
_TIMM_HOSTS = re.compile(r'(legacy_)?(se|tv_|gluon_|wide_)?resnex?t(18|34|50|101|152)[cds]?(_\d+x\d+d?|_\d)?')


@dataclass(frozen=True)
class Published:
    """A checkpoint that somebody hosts.

    Attributes:
        name: as the config gives it.
        url: where it is.
        file: where it is kept once fetched: torch hub's cache, which timm and torchvision share.
        sha256: the beginning of its hash; empty where none is published.
    """

    name: str
    url: str
    file: Path
    sha256: str

    def fetch(self) -> Path:
        """The file, downloaded if it is not there; with several processes, by one on each machine.

        Raises:
            SeMmError: if it cannot be fetched, or is not the published one.
        """
        try:
            if is_first_on_machine() and not self.file.is_file():
                self._download()
        finally:
            barrier()
        if not self.file.is_file():
            raise SeMmError(f'{self.name} was not fetched by the first process of this machine; see its message')
        if not self.is_whole():
            raise SeMmError(
                f'{self.file} is not {self.name} as published: its sha256 must begin with {self.sha256}; '
                f'delete it, and it is fetched again from {self.url}'
            )
        return self.file

    def is_whole(self) -> bool:
        """Whether the file in the cache has the published hash; without one, any file is."""
        return not self.sha256 or digest_of(self.file).startswith(self.sha256)

    def is_reachable(self, timeout: float = 10) -> bool:
        """Whether the URL answers."""
        try:
            with urlopen(Request(self.url, method='HEAD'), timeout=timeout):
                return True
        except (OSError, ValueError):
            return False

    def _download(self) -> None:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(self.url, str(self.file), self.sha256 or None)
        except (URLError, OSError, RuntimeError, ValueError) as error:
            hash_wanted = f' (its sha256 must begin with {self.sha256})' if self.sha256 else ''
            raise SeMmError(
                f'{self.name} cannot be fetched from {self.url}: {error}. Put the file there by hand as '
                f'{self.file}{hash_wanted}, or start without it: tools/train.py --no-pretrained'
            ) from error


def is_first_on_machine() -> bool:
    """Whether this process is the one that downloads, under any of mmengine's launchers."""
    return not any(int(os.environ.get(rank, 0)) for rank in _LOCAL_RANKS)


def find(name: str) -> Published:
    """The published file behind a URL or a ``timm://`` name.

    Raises:
        SeMmError: if timm is missing, knows no such weights, or they are not of a ResNet that
            this package has.

    Example:
        >>> find('https://download.pytorch.org/models/resnet50-0676ba61.pth').sha256
        '0676ba61'
    """
    if name.startswith(TIMM):
        url, file_name = _in_timm(name)
    else:
        url = name
        file_name = Path(urlparse(url).path).name
    hashed = re.search(r'-(?!20\d{6}\.)([0-9a-f]{8,64})\.', file_name)  # eight digits from 20 on are a date
    if not hashed:  # many hosts have a model.safetensors
        file_name = f'{hashlib.sha256(url.encode()).hexdigest()[:12]}-{file_name}'
    return Published(name, url, Path(torch.hub.get_dir()) / 'checkpoints' / file_name, hashed[1] if hashed else '')


def _in_timm(name: str) -> tuple[str, str]:
    model = name.removeprefix(TIMM)
    if not _TIMM_HOSTS.fullmatch(model.partition('.')[0]):
        raise SeMmError(
            f'{name}: se_mm has no network like it; it takes (legacy_)(se)resnet and (legacy_)(se)resnext of '
            '18, 34, 50, 101 and 152 layers'
        )
    try:
        from timm.models import get_pretrained_cfg, is_model, list_pretrained
    except ImportError as error:
        raise SeMmError(f"{name} needs timm's list of weights: pip install timm ({error})") from error
    architecture = model.partition('.')[0]
    if not is_model(architecture):
        raise SeMmError(f'timm has no model {architecture}')
    try:
        published = get_pretrained_cfg(model)
    except (RuntimeError, AttributeError):  # no such tag
        published = None
    if published is None or not (published.url or published.hf_hub_id):
        has = ', '.join(list_pretrained(f'{architecture}.*')) or 'none'
        raise SeMmError(f'timm publishes no weights {model}; for {architecture} it has: {has}')
    if published.url:
        return published.url, Path(urlparse(published.url).path).name
    return f'https://huggingface.co/{published.hf_hub_id}/resolve/main/model.safetensors', f'{model}.safetensors'
