"""Errors of what a config builds, in the words of the config."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterator

from mmengine.config import Config
from mmengine.optim import OPTIMIZERS

from ..config.tree import dotted, nodes
from ..errors import SeMmError

_UNEXPECTED = re.compile(r"\(\) got an unexpected keyword argument '(\w+)'")


def unexpected_argument(error: BaseException, cfg: Config) -> SeMmError | None:
    """The message for an argument that a class of the config does not take; ``None`` for any other error.

    Args:
        error: what was raised while the config was built.
        cfg: the config, for the key.

    Returns:
        It names the key, the class and the argument of it that is closest.

    Example:
        >>> from mmengine.registry import Registry
        >>> class Loop:
        ...     def __init__(self, max_epochs): ...
        >>> loops = Registry('loop')
        >>> loops.register_module(module=Loop)
        <class '...Loop'>
        >>> try:
        ...     loops.build(dict(type='Loop', max_epoch=2))
        ... except TypeError as error:
        ...     print(unexpected_argument(error, Config(dict(train_cfg=dict(max_epoch=2)))))
        train_cfg.max_epoch: Loop has no argument max_epoch; did you mean max_epochs?
    """
    for cause in _chain(error):
        found = _UNEXPECTED.search(str(cause)) if isinstance(cause, TypeError) else None
        if found:
            name = found[1]
            cls = _class_being_built(cause, name)
            if cls is None:
                continue  # a call that no config makes
            known = arguments_of(cls)
            where = [dotted((*keys, name)) for keys, node in nodes(cfg._cfg_dict) if name in node]
            close = difflib.get_close_matches(name, known, 1)
            hint = f'; did you mean {close[0]}?' if close else f'; it has {", ".join(known)}'
            return SeMmError(f'{", ".join(where[:3]) or name}: {cls.__name__} has no argument {name}{hint}')
    return None


def unknown_optimizer(cfg: Config) -> SeMmError | None:
    """The message for an optimizer that no registry has, of which mmengine only says that it cannot be called.

    Example:
        >>> print(unknown_optimizer(Config(dict(optim_wrapper=dict(optimizer=dict(type='Adm'))))))
        optim_wrapper.optimizer.type is Adm, which is not registered; did you mean Adam?
    """
    kind = ((cfg.get('optim_wrapper') or {}).get('optimizer') or {}).get('type')
    if not isinstance(kind, str):
        return None
    with OPTIMIZERS.switch_scope_and_registry(cfg.get('default_scope')) as registry:  # mmpretrain has some of its own
        if registry.get(kind) is not None:
            return None
        close = difflib.get_close_matches(kind, {**OPTIMIZERS.module_dict, **registry.module_dict}, 1)
    hint = f'; did you mean {close[0]}?' if close else ''
    return SeMmError(f'optim_wrapper.optimizer.type is {kind}, which is not registered{hint}')


def arguments_of(cls: type) -> list[str]:
    """The arguments of a class, of its bases too where it hands on what it does not know.

    Example:
        >>> class Base:
        ...     def __init__(self, depth): ...
        >>> class Host(Base):
        ...     def __init__(self, reduction=16, **kwargs): ...
        >>> arguments_of(Host)
        ['reduction', 'depth']
    """
    names: list[str] = []
    for base in cls.__mro__:
        if '__init__' not in vars(base) or base is object:
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        names += [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return [name for name in dict.fromkeys(names) if name != 'self']


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _class_being_built(error: BaseException, argument: str) -> type | None:
    """The class that a config gave the argument to: mmengine's innermost ``build_from_cfg`` that has it."""
    found, trace = None, error.__traceback__
    while trace is not None:
        local = trace.tb_frame.f_locals
        if isinstance(local.get('obj_cls'), type) and argument in (local.get('args') or ()):
            found = local['obj_cls']
        trace = trace.tb_next
    return found
