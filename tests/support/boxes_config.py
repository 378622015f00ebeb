"""The parts of a detector's config that its data are fitted to."""

default_scope = 'mmdet'
model = dict(type='RetinaNet', bbox_head=dict(type='RetinaHead', num_classes=80), test_cfg=dict(max_per_img=100))
pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True, with_mask=False)]
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        type='CocoDataset',
        data_root='data/coco/',
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type='CocoDataset',
        data_root='data/coco/',
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', ann_file='data/coco/annotations/instances_val2017.json', metric='bbox')
test_evaluator = val_evaluator
