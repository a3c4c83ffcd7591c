"""Runs plans: the exact and the blended engine, and the ports through which they reach a VAE."""
