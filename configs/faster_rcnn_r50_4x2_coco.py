# The protocol of ECA-Net (CVPR 2020, table 5): 12 epochs on 4 GPUs with 2 images each at learning rate 0.01.
# Both of the pair start from mmpretrain's classifiers of one recipe (100 epochs, batch 256: 76.55 and 77.74 top-1).
_base_ = './faster_rcnn_r50_coco.py'
model = dict(backbone=dict(init_cfg=dict(checkpoint='mmcls://resnet50', prefix='backbone.')))
optim_wrapper = dict(optimizer=dict(lr=0.01))
auto_scale_lr = dict(base_batch_size=8)
