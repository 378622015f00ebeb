"""Data sets that mmdet and mmpretrain lack."""
