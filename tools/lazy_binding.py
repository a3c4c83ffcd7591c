"""Runs pytest under a torch whose libraries are bound lazily; see try_oldest_torch.sh.

python tools/lazy_binding.py TORCH_VERSION PYTEST_ARGUMENTS...
"""

from __future__ import annotations

import ctypes
import os
import sys

import pytest

_load = ctypes.CDLL.__init__


def _load_lazily(self, name, mode=ctypes.DEFAULT_MODE, *args, **kwargs):
    _load(self, name, (mode & ~os.RTLD_NOW) | os.RTLD_LAZY, *args, **kwargs)


if __name__ == "__main__":
    sys.setdlopenflags(os.RTLD_LAZY)
    ctypes.CDLL.__init__ = _load_lazily
    import torch

    wanted, found = sys.argv[1], torch.__version__.partition("+")[0]
    if found != wanted:
        sys.exit(f"torch {found} was imported from {torch.__file__}, not {wanted}")
    print(f"torch {torch.__version__}")
    sys.exit(pytest.main(sys.argv[2:]))
