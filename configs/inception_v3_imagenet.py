# The paper has no SE-Inception-v3; this is its rule for Inception modules in the network of Szegedy et al.
_base_ = './_base_/imagenet_paper_299.py'
model = dict(backbone=dict(_delete_=True, type='se_mm.TimmInceptionV3'))
