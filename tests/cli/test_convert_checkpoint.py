"""tools/convert_checkpoint.py"""

from __future__ import annotations

from support.commands import output, tool


def test_convert_checkpoint_takes_a_detectors_backbone_to_timm(trained, tmp_path):
    said = output(tool('convert_checkpoint', trained / 'epoch_1.pth', tmp_path / 'timm.pth', '--to', 'timm'))
    assert 'left: neck, rpn_head, roi_head' in said
    done = tool('convert_checkpoint', 'README.md', tmp_path / 'no.pth', '--to', 'timm')
    assert done.returncode == 2
    assert 'error: checkpoint README.md cannot be read' in done.stderr
