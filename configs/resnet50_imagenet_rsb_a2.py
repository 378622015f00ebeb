# "ResNet strikes back" (Wightman et al., arXiv 2110.00476), procedure A2: 300 epochs, LAMB, batch 2048.
_base_ = ['mmpretrain::resnet/resnet50_8xb256-rsb-a2-300e_in1k.py', './_base_/se_mm.py']
