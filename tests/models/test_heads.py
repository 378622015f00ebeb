"""A head with dropout is mmpretrain's head in a test, and drops features in training."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.models.heads import LinearClsHead
from mmpretrain.structures import DataSample
from support.helpers import randomize

ARGUMENTS = dict(num_classes=5, in_channels=40, topk=(1,))


def build(**arguments):
    return MODELS.build(dict(type='se_mm.DropoutHead', **ARGUMENTS, **arguments))


def test_in_a_test_it_is_the_plain_head():
    plain, head = randomize(LinearClsHead(**ARGUMENTS)), build(dropout=0.5).eval()
    head.load_state_dict(plain.state_dict())  # it adds no parameters
    assert isinstance(head, LinearClsHead)
    x = (torch.rand(3, 40),)
    assert torch.equal(head(x), plain(x))


@pytest.mark.parametrize('share', [0, 0.2, 0.5])
def test_in_training_it_drops_its_share_of_the_features_before_the_classifier(share):
    head = build(dropout=share).train()
    torch.manual_seed(0)
    kept = head.pre_logits((torch.ones(1000, 40),))
    assert (kept == 0).double().mean().item() == pytest.approx(share, abs=0.01)
    assert kept.max().item() == pytest.approx(1 / (1 - share))
    assert head.loss((torch.rand(2, 40),), [DataSample().set_gt_label(i) for i in range(2)])['loss'].isfinite()


def test_a_copy_and_a_pickled_one_drop_too():
    head = build(dropout=0.5).train()
    file = io.BytesIO()
    torch.save(head, file)
    file.seek(0)
    for other in (copy.deepcopy(head), torch.load(file, weights_only=False)):
        assert (other.pre_logits((torch.ones(1, 40),)) == 0).any()
