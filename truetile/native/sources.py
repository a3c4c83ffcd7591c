"""What this package's native libraries are built from; CMake reads it, too."""

from .. import __version__

SOURCES = "9756422b1cd1"  # of csrc, by tools/stamp_sources.py
BUILD = f"{__version__}+{SOURCES}"
