"""What a backbone does to take published weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from torch import nn

from ..compat.metadata import metadata_of, on_state_dict
from ..errors import SeMmError
from .loading import adapt
from .published import initialisations, is_pretrained, read
from .state_dicts import under, unwrap


class Loadable(nn.Module):
    """A :class:`~se_mm.weights.loading.Network` that loads the weights of other libraries; before ``BaseModule``.

    ``init_cfg=dict(type='Pretrained', ...)``, :meth:`load_pretrained` and mmengine's ``load_checkpoint`` load every
    tensor or raise ``SeMmError``. ``load_state_dict`` is torch's: names of another library that can be converted
    completely are, else it loads by name, and a warning says why; with ``strict=False`` it always loads by name.
    """

    #: Whether ``init_weights`` has loaded a checkpoint.
    given_weights = False
    _by_name = False
    _refusal: SeMmError | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.become()

    def become(self) -> None:
        """Makes a network that is built one of this class."""
        on_state_dict(self, _save_variant)
        self.register_load_state_dict_post_hook(_raise_or_warn)

    def init_weights(self) -> None:
        if self.is_init:
            super().init_weights()  # which says so
            return
        init_cfg, self.given_weights = self.init_cfg, False
        entries = initialisations(init_cfg)
        pretrained = [entry for entry in entries if is_pretrained(entry)]
        self.init_cfg = [entry for entry in entries if entry not in pretrained]
        try:
            super().init_weights()
        finally:
            self.init_cfg = init_cfg
        if pretrained:
            self.is_init = False  # until the weights are there
        for entry in pretrained:
            self.load_pretrained(entry.get('checkpoint'), entry.get('prefix'))
            self.is_init = True

    def load_pretrained(self, checkpoint: str | Path, prefix: str | None = None) -> None:
        """Loads published weights, or a file.

        Args:
            checkpoint: a path, a URL, or a name with a scheme (``timm://seresnet50.a1_in1k``).
            prefix: where the network stands in it, if several could be meant.

        Raises:
            SeMmError: if the weights cannot be had, or do not fit; nothing is changed then.
        """
        state_dict, file = read(checkpoint)
        checkpoint = str(checkpoint)
        if prefix:
            landmarks = [family.landmark for family in self.families]
            state_dict = under(prefix, unwrap(state_dict)[0], checkpoint, landmarks)
        stated = metadata_of(state_dict).get('', {})
        adapt(self, state_dict, '', {**stated, 'source': checkpoint, 'file': file})
        self.load_state_dict(state_dict, by_name=True)
        self.given_weights = True

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False, by_name: bool | None = None
    ) -> Any:
        """torch's, with ``by_name=False`` (default: ``not strict``) after a conversion of foreign names."""
        self._by_name = not strict if by_name is None else by_name
        try:
            return super().load_state_dict(state_dict, strict=strict, assign=assign)
        finally:
            self._by_name = False

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *args: Any
    ) -> None:
        self._refusal = None
        if not self._by_name:
            try:
                unknown = adapt(self, state_dict, prefix, local_metadata)
                args[2].extend(f'{prefix}{key}' for key in unknown)  # torch's list of unexpected keys
                self.given_weights = True
            except SeMmError as error:
                self._refusal = error
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


def _save_variant(module: Loadable, _: dict[str, Any], __: str, local_metadata: dict[str, Any]) -> None:
    local_metadata['se_mm'] = module.variant()


def _raise_or_warn(module: Loadable, incompatible_keys: Any) -> None:
    """mmengine would go on without weights; its keys' class tells it from torch, which leaves that to the caller."""
    refusal, module._refusal = module._refusal, None
    if refusal is None:
        return
    if type(incompatible_keys).__module__.startswith('mmengine.'):
        raise refusal
    print_log(f'{refusal}; loaded by name, without a conversion', logger='current', level=logging.WARNING)
