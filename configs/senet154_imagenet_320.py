# Trained and tested on 320 pixels (the paper's table 9). The resize before the crop is in the ratio of 256 to 224.
_base_ = './senet154_imagenet.py'
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[1]['scale'] = 320
test_pipeline[1]['scale'] = 366
test_pipeline[2]['crop_size'] = 320
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
