"""What this package's native libraries are built from; CMake reads it, too."""

from .. import __version__

SOURCES = "13e194c49f45"  # of csrc, by tools/stamp_sources.py
BUILD = f"{__version__}+{SOURCES}"
