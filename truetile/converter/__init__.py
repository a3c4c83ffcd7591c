"""Workflows made to use TrueTile's nodes, and back: `truetile.convert` and `truetile.undo`."""

from .conversion import Conversion, convert, undo

__all__ = ["Conversion", "convert", "undo"]
