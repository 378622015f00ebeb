# Procedure A3 of "ResNet strikes back" (Wightman et al., arXiv 2110.00476): 100 epochs on crops of 160 pixels.
_base_ = ['mmpretrain::resnet/resnet50_8xb256-rsb-a3-100e_in1k.py', './_base_/se_mm.py']
# mmpretrain's config of that name trains on 224 pixels, twice the cost.
train_pipeline = _base_.train_pipeline
train_pipeline[1]['scale'] = 160
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
