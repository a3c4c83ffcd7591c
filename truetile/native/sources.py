"""What this package's native libraries are built from; CMake reads it, too."""

from .. import __version__

SOURCES = "715a57a0d9ef"  # of csrc, by tools/stamp_sources.py
BUILD = f"{__version__}+{SOURCES}"
