"""What the demo adds to the library: a small embedded VAE and its loader."""
