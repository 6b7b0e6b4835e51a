__version__ = "0.3.0"

import os as _os
from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

# Threads that wait for work spin, and on a shared machine spin away the time that others need. So
# they spin briefly and then sleep. Read when torch is first imported; who has set it keeps it.
_os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
_os.environ.setdefault('GOMP_SPINCOUNT', '10000') # GNU OpenMP, torch's on Linux: how briefly
_os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1') # else ONNX Runtime reports its sessions

if _TYPE_CHECKING: from .all import *

_FROM = { # the names of the README, each imported when it is first asked for
    'comparison': ['comparison_table'], 'core': ['LesionsegError'], 'data': ['load_data'],
    'editor': ['MaskEditor', 'correct'],
    'inference': ['predict', 'segment'], 'masks': ['segment_folder'], 'metrics': ['dice', 'iou'],
    'report': ['write_report'], 'runs': ['find_runs', 'train_run'],
    'synthetic': ['synthetic_dataset'], 'weights': ['LesionSegmenter'],
    'training': ['FEATURE_EXTRACTION', 'FINE_TUNING', 'TUNED', 'TrainConfig']}
_MODULE = {name: module for module, names in _FROM.items() for name in names}
__all__ = ['__version__', *_MODULE]

def __getattr__(name):
    if name not in _MODULE: raise AttributeError(f"module 'lesionseg' has no attribute '{name}'")
    return getattr(_import_module(f'.{_MODULE[name]}', __name__), name)

def __dir__(): return sorted(__all__)
