#!/usr/bin/env python
"""Export a trained model to ONNX, OpenVINO or torch.export; only a file that agrees with PyTorch is kept."""

from se_mm.cli import main

if __name__ == '__main__':
    main('export')
