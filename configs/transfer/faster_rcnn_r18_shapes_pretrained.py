# Weights of resnet18_tinyin100.py with the seed of this training, as tools/compare.py leaves them.
_base_ = './faster_rcnn_r18_shapes_wide.py'
checkpoint = '{{$SE_MM_TINYIN100:work_dirs/tinyin100}}/resnet18_tinyin100/seed_{{$SE_MM_SEED:0}}/epoch_6.pth'
model = dict(backbone=dict(init_cfg=dict(_delete_=True, type='Pretrained', checkpoint=checkpoint, prefix='backbone.')))
