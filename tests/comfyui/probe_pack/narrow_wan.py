"""Lets an old ComfyUI take the embedded VAE, which is a narrow Wan 2.1.

Later ones read the width from the weights; v0.3.64 always makes the module as wide as Wan's own.
"""

import inspect

from comfy.ldm.wan.vae import WanVAE


def accept() -> None:
    """Make Wan modules as wide as the embedded VAE where this ComfyUI does not look."""
    stock = WanVAE.__init__
    if "image_channels" in inspect.signature(stock).parameters:
        return  # one that knows this knows the width, too

    def narrow(self, **config):
        stock(self, **{**config, "dim": 16})

    WanVAE.__init__ = narrow
