"""The example workflows as API prompts, with what their notes say: input of make_workflows.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import truetile

NEGATIVE = "blurry, low quality, watermark"
SCENE = "a raccoon washes an apple at a brook in the forest, morning light"
DEMO = (
    "Before the first run copy `assets/demo_vae.safetensors` of this pack to ComfyUI's "
    "`models/vae`. It runs on a CPU; what it makes is no match for a real VAE."
)


# What the large workflows ask for, by folder of models.
MODELS = {
    "checkpoints": ["sd_xl_base_1.0.safetensors"],
    "diffusion_models": [
        "wan2.1_t2v_1.3B_fp16.safetensors",
        "wan2.1_i2v_480p_14B_fp16.safetensors",
        "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors",
        "wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors",
    ],
    "text_encoders": ["umt5_xxl_fp8_e4m3fn_scaled.safetensors"],
    "vae": ["wan_2.1_vae.safetensors"],
}


class Prompt(dict):
    """An API prompt that is built node by node: `add` gives the node's id."""

    def add(self, kind: str, title: str = "", **inputs: Any) -> str:
        name = str(len(self) + 1)
        given = {key: [value, 0] if isinstance(value, str) and value in self and key in LINKS
                 else value for key, value in inputs.items()}  # fmt: skip
        self[name] = {"inputs": given, "class_type": kind}
        if title:
            self[name]["_meta"] = {"title": title}
        return name


# The inputs that take a wire; a node's id alone stands for its first output.
LINKS = {
    "samples", "vae", "pixels", "image", "images", "clip", "model", "positive", "negative",
    "latent_image", "start_image", "clip_vision", "clip_vision_output", "video", "anything",
}  # fmt: skip


def text_pair(prompt: Prompt, clip: Any) -> dict[str, str]:
    return {
        "positive": prompt.add("CLIPTextEncode", "What to show", text=SCENE, clip=clip),
        "negative": prompt.add("CLIPTextEncode", "What to avoid", text=NEGATIVE, clip=clip),
    }


def sampler(prompt: Prompt, **inputs: Any) -> str:
    usual = {"seed": 1, "steps": 20, "cfg": 6.0, "sampler_name": "uni_pc", "scheduler": "simple"}
    return prompt.add("KSampler", **{**usual, "denoise": 1.0, **inputs})


def save_video(prompt: Prompt, images: str, name: str) -> str:
    video = prompt.add("CreateVideo", images=images, fps=16.0)
    return prompt.add("SaveVideo", video=video, filename_prefix=name, format="auto", codec="auto")


def sdxl_image() -> Prompt:
    prompt = Prompt()
    loader = prompt.add("CheckpointLoaderSimple", ckpt_name="sd_xl_base_1.0.safetensors")
    texts = text_pair(prompt, [loader, 1])
    latent = prompt.add("EmptyLatentImage", width=1024, height=1024, batch_size=1)
    made = sampler(prompt, model=loader, latent_image=latent, sampler_name="euler", **texts)
    decoded = prompt.add("VAEDecode", samples=made, vae=[loader, 2])
    prompt.add("SaveImage", images=decoded, filename_prefix="sdxl")
    return prompt


def wan_models(prompt: Prompt, model: str) -> tuple[str, str, str]:
    """Model, text encoder, VAE."""
    weights = prompt.add("UNETLoader", unet_name=model, weight_dtype="default")
    shifted = prompt.add("ModelSamplingSD3", model=weights, shift=8.0)
    encoder = "umt5_xxl_fp8_e4m3fn_scaled.safetensors"
    clip = prompt.add("CLIPLoader", clip_name=encoder, type="wan", device="default")
    return shifted, clip, prompt.add("VAELoader", vae_name="wan_2.1_vae.safetensors")


def wan_text_to_video() -> Prompt:
    prompt = Prompt()
    model, clip, vae = wan_models(prompt, "wan2.1_t2v_1.3B_fp16.safetensors")
    texts = text_pair(prompt, clip)
    size = {"width": 832, "height": 480, "length": 81, "batch_size": 1}
    latent = prompt.add("EmptyHunyuanLatentVideo", **size)
    made = sampler(prompt, model=model, latent_image=latent, **texts)
    decoded = prompt.add("VAEDecode", samples=made, vae=vae)
    save_video(prompt, decoded, "video/wan_t2v")
    return prompt


def image_to_video(prompt: Prompt, clip: str, vae: str) -> str:
    """WanImageToVideo with what it needs; it encodes inside itself."""
    size = {"width": 832, "height": 480, "length": 81, "batch_size": 1}
    picture = prompt.add("LoadImage", image="example.png")
    return prompt.add(
        "WanImageToVideo", start_image=picture, vae=vae, **text_pair(prompt, clip), **size
    )


def wan_image_to_video() -> Prompt:
    prompt = Prompt()
    model, clip, vae = wan_models(prompt, "wan2.1_i2v_480p_14B_fp16.safetensors")
    start = image_to_video(prompt, clip, vae)
    given = {"positive": [start, 0], "negative": [start, 1], "latent_image": [start, 2]}
    made = sampler(prompt, model=model, **given)
    decoded = prompt.add("VAEDecode", samples=made, vae=vae)
    save_video(prompt, decoded, "video/wan_i2v")
    return prompt


def seven_phases() -> Prompt:
    """Load, text encode, encode, two samplers, decode, save: Wan 2.2 image to video."""
    prompt = Prompt()
    high, clip, vae = wan_models(prompt, "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors")
    weights = "wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors"
    low = prompt.add("UNETLoader", unet_name=weights, weight_dtype="default")
    low = prompt.add("ModelSamplingSD3", model=low, shift=8.0)
    start = image_to_video(prompt, clip, vae)
    given = {"positive": [start, 0], "negative": [start, 1]}
    usual = {"noise_seed": 1, "steps": 20, "cfg": 3.5, "sampler_name": "euler"}
    usual |= {"scheduler": "simple", **given}
    first = prompt.add(
        "KSamplerAdvanced", "High noise", model=high, latent_image=[start, 2], add_noise="enable",
        start_at_step=0, end_at_step=10, return_with_leftover_noise="enable", **usual,
    )  # fmt: skip
    second = prompt.add(
        "KSamplerAdvanced", "Low noise", model=low, latent_image=first, add_noise="disable",
        start_at_step=10, end_at_step=10000, return_with_leftover_noise="disable", **usual,
    )  # fmt: skip
    decoded = prompt.add("VAEDecode", samples=second, vae=vae)
    report = prompt.add("MemoryReport", anything=decoded, name="memory", clear=True)
    save_video(prompt, report, "video/wan22_i2v")
    return prompt


def small_picture() -> Prompt:
    prompt = Prompt()
    picture = prompt.add("LoadImage", image="example.png")
    vae = prompt.add("VAELoader", vae_name="demo_vae.safetensors")
    latent = prompt.add("VAEEncode", "In place of the sampler", pixels=picture, vae=vae)
    decoded = prompt.add("VAEDecode", samples=latent, vae=vae)
    prompt.add("SaveImage", images=decoded, filename_prefix="sdxl_small")
    return prompt


def small_clip(prompt: Prompt) -> str:
    """One picture, repeated, so that nothing has to be downloaded."""
    picture = prompt.add("LoadImage", image="example.png")
    scaled = prompt.add(
        "ImageScale", image=picture, upscale_method="area", width=320, height=192, crop="center"
    )
    return prompt.add("RepeatImageBatch", image=scaled, amount=17)


def small_video(name: str) -> Prompt:
    prompt = Prompt()
    clip = small_clip(prompt)
    vae = prompt.add("VAELoader", vae_name="demo_vae.safetensors")
    latent = prompt.add("VAEEncode", "In place of the sampler", pixels=clip, vae=vae)
    decoded = prompt.add("VAEDecode", samples=latent, vae=vae)
    save_video(prompt, decoded, name)
    return prompt


def small_phases() -> Prompt:
    prompt = Prompt()
    clip = small_clip(prompt)
    vae = prompt.add("VAELoader", vae_name="demo_vae.safetensors")
    latent = prompt.add("VAEEncode", pixels=clip, vae=vae)
    decoded = prompt.add("VAEDecode", samples=latent, vae=vae)
    report = prompt.add("MemoryReport", anything=decoded, name="memory", clear=True)
    save_video(prompt, report, "video/seven_phases_small")
    return prompt


# In GiB: under 5 once models and LoRAs are off, under 1 after the text encode, under 2 else.
BUDGETS = {"text encode": 5, "encode": 1, "sample": 2, "decode": 2, "save": 2}
SMALL = {"encode": 1, "decode": 2, "save": 2}


def made(prompt: Prompt, **options: Any) -> dict[str, Any]:
    """The prompt as `truetile convert` makes it; the record of that is not for examples."""
    document = truetile.convert(dict(prompt), **options).document
    for entry in document.values():
        meta = entry.get("_meta", {})
        meta.pop("truetile", None)
        if entry.get("_meta") == {}:
            del entry["_meta"]
    return document


WRAP_NOTE = (
    "`TrueTileVAE` makes every node that uses this VAE work through TrueTile, also those "
    "that encode inside themselves."
)
BUDGET_NOTE = (
    "Each checkpoint says what is on the card, takes everything off it and proves it. With "
    "`on_violation: error` it stops the run and names who holds the memory."
)
PROMPTS = {
    "sdxl_image": (
        made(sdxl_image()),
        "## SDXL: a picture\n**TrueTile VAE Decode** in the place of VAE Decode.\n\n"
        "Needs `sd_xl_base_1.0.safetensors`. The small twin `sdxl_image_small` runs without.",
    ),
    "sdxl_image_small": (made(small_picture()), f"## The small twin of `sdxl_image`\n{DEMO}"),
    "wan_text_to_video": (
        made(wan_text_to_video()),
        "## Wan 2.1: text to video\n**TrueTile VAE Decode** decodes the clip exactly: no seams "
        "in time.\n\nNeeds the models of ComfyUI's own Wan 2.1 text-to-video template.",
    ),
    "wan_text_to_video_small": (
        made(small_video("video/wan_t2v_small")),
        f"## The small twin of `wan_text_to_video`\n{DEMO}",
    ),
    "wan_image_to_video": (
        made(wan_image_to_video(), wrap=True),
        f"## Wan 2.1: image to video\n{WRAP_NOTE}\n\nNeeds the models of ComfyUI's own Wan 2.1 "
        "image-to-video template.",
    ),
    "wan_image_to_video_small": (
        made(small_video("video/wan_i2v_small"), wrap=True),
        f"## The small twin of `wan_image_to_video`\n{WRAP_NOTE}\n\n{DEMO}",
    ),
    "seven_phases": (
        made(seven_phases(), budgets=BUDGETS),
        f"## Seven phases with budgets\n{BUDGET_NOTE}\n\nNeeds the models of ComfyUI's own Wan "
        "2.2 image-to-video template.",
    ),
    "seven_phases_small": (
        made(small_phases(), budgets=SMALL),
        f"## The small twin of `seven_phases`\n{BUDGET_NOTE}\n\n{DEMO}",
    ),
}
