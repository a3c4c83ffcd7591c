"""The nodes that decode and encode, and the one that makes other nodes do it TrueTile's way."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from . import host, service, vae_facts, wrapped_vae
from .schema import output, report_output, schema, settings_inputs, settings_of


class TrueTileVAEDecode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="TrueTileVAEDecode",
            display_name="TrueTile VAE Decode",
            description="Decodes latents of any size and length in the memory that there is, and "
            "reports what it did.",
            search_aliases=["vae decode", "tiled decode", "latent to image", "out of memory"],
            inputs=[
                io.Latent.Input("samples", tooltip="The latent image or video to decode."),
                io.Vae.Input("vae", tooltip="The VAE that decodes; audio VAEs have own nodes."),
                *settings_inputs(),
            ],
            outputs=[
                io.Image.Output(tooltip="The pictures; a video as its frames."),
                report_output(),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, samples: dict, vae: Any, **values: Any) -> io.NodeOutput:
        _refuse_audio(vae, "VAE Decode Audio")
        latent = samples["samples"]
        if getattr(latent, "is_nested", False):
            latent = latent.unbind()[0]  # the picture of an audio-video latent, as core does
        pixels, report = service.decode(vae, latent, settings_of(values))
        if pixels.ndim == 5:  # clips one after the other, as core does
            pixels = pixels.reshape(-1, *pixels.shape[-3:])
        host.show_text(cls.hidden.unique_id, report.summary())
        return output(pixels, report=str(report))


class TrueTileVAEEncode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="TrueTileVAEEncode",
            display_name="TrueTile VAE Encode",
            description="Encodes pictures or the frames of a video in the memory that there is, "
            "and reports what it did.",
            search_aliases=["vae encode", "tiled encode", "image to latent", "out of memory"],
            inputs=[
                io.Image.Input("pixels", tooltip="The picture, or the frames of one video."),
                io.Vae.Input("vae", tooltip="The VAE that encodes; audio VAEs have own nodes."),
                *settings_inputs(),
            ],
            outputs=[
                io.Latent.Output(tooltip="The latent image or video."),
                report_output(),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, pixels: Any, vae: Any, **values: Any) -> io.NodeOutput:
        _refuse_audio(vae, "VAE Encode Audio")
        latent, report = service.encode(vae, pixels, settings_of(values))
        host.show_text(cls.hidden.unique_id, report.summary())
        return output({"samples": latent}, report=str(report))


class TrueTileVAE(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="TrueTileVAE",
            display_name="TrueTile VAE",
            description="Gives back the same VAE, but everything that decodes or encodes with it "
            "does so through TrueTile: also nodes that encode inside themselves.",
            search_aliases=["tiled vae", "vae patch", "out of memory"],
            inputs=[
                io.Vae.Input("vae", tooltip="The VAE to give to other nodes; it stays as it is."),
                *settings_inputs(),
            ],
            outputs=[io.Vae.Output(tooltip="The VAE that works through TrueTile.")],
        )

    @classmethod
    def execute(cls, vae: Any, **values: Any) -> io.NodeOutput:
        if hasattr(vae, "throw_exception_if_invalid"):
            vae.throw_exception_if_invalid()
        return io.NodeOutput(wrapped_vae.wrap(vae, settings_of(values)))


def _refuse_audio(vae: Any, instead: str) -> None:
    if vae is not None and vae_facts.is_audio(vae):
        raise ValueError(f"vae: this VAE is not for pictures; use the node '{instead}' for audio")
