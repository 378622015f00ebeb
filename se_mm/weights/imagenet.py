"""The 1,000 classes of ImageNet (ILSVRC 2012) in the order that published classifiers have them."""

from __future__ import annotations

from collections import Counter
from functools import cache

from ..errors import SeMmError


@cache
def imagenet_classes() -> dict[str, str]:
    """The name of each class by its WordNet id: the first word for it, or all of them where two classes share it.

    Raises:
        SeMmError: if timm, which has the list, is not installed.

    Example:
        >>> classes = imagenet_classes()
        >>> len(classes), classes['n01440764'], classes['n03126707']
        (1000, 'tench', 'crane (n03126707)')
    """
    try:
        from timm.data import ImageNetInfo
    except ImportError as error:
        raise SeMmError(f"the classes of ImageNet are in timm's list: pip install timm ({error})") from error
    whole = ImageNetInfo().label_descriptions(as_dict=True)
    names = {wnid: text.partition(',')[0] for wnid, text in whole.items()}
    for form in (lambda wnid: whole[wnid], lambda wnid: f'{whole[wnid]} ({wnid})'):
        count = Counter(names.values())
        names = {wnid: name if count[name] == 1 else form(wnid) for wnid, name in names.items()}
    return names
