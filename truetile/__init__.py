"""TrueTile: tiled VAE encode and decode with an out-of-memory ladder and honest reports."""

__version__ = "0.1.0"
