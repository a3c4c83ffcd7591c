"""Nodes for the tests only: inputs that stock ComfyUI has no model-free source for, and exact
files of what flows through a graph."""

from pathlib import Path
from typing import ClassVar

import comfy.model_management
import comfy.model_patcher
import folder_paths
import torch
from safetensors.torch import save_file

from . import narrow_wan
from . import panel_route as panel_route
from . import validate_route as validate_route

narrow_wan.accept()


class ProbeFrames:
    """A smooth pattern that moves from frame to frame; the same numbers on every run."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "probe"

    @classmethod
    def INPUT_TYPES(cls):
        size = ("INT", {"default": 1, "min": 1, "max": 4096})
        return {"required": {"frames": size, "height": size, "width": size}}

    def run(self, frames, height, width):
        t = torch.arange(frames).view(-1, 1, 1, 1) / 8
        y = torch.arange(height).view(1, -1, 1, 1) / 23
        x = torch.arange(width).view(1, 1, -1, 1) / 17
        phase = torch.tensor([0.0, 1.1, 2.3])
        return (0.5 + 0.25 * torch.sin(x + t + phase) + 0.25 * torch.cos(y - t + 2 * phase),)


class ProbeConditioning:
    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "run"
    CATEGORY = "probe"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def run(self):
        return ([[torch.zeros(1, 1, 8), {}]],)


class ProbeConcatLatent:
    """The latent that an image-to-video node has put into a conditioning."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "run"
    CATEGORY = "probe"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"conditioning": ("CONDITIONING",)}}

    def run(self, conditioning):
        return ({"samples": conditioning[0][1]["concat_latent_image"]},)


class ProbeNestedLatent:
    """A picture and something else in one latent, as audio-video models make it."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "run"
    CATEGORY = "probe"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"samples": ("LATENT",)}}

    def run(self, samples):
        import comfy.nested_tensor  # not in old ComfyUIs

        parts = [samples["samples"], torch.zeros(1, 8, 16)]
        return ({"samples": comfy.nested_tensor.NestedTensor(parts)},)


class ProbeLeak:
    """A custom node that keeps something of every prompt: `mib` MiB that nobody can free."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "probe"
    kept: ClassVar[list] = []

    @classmethod
    def INPUT_TYPES(cls):
        sizes = ("INT", {"default": 200, "min": 0, "max": 4096})
        where = {"device": ("STRING", {"default": "cpu"})}
        return {"required": {"images": ("IMAGE",), "mib": sizes}, "optional": where}

    @classmethod
    def IS_CHANGED(cls, **_):
        return float("nan")

    def run(self, images, mib, device="cpu"):
        if mib:
            self.kept.append(torch.ones(mib * 2**20, dtype=torch.uint8, device=device))
        else:
            self.kept.clear()
        return (images,)


class ProbeModel:
    """A model of `mib` MiB, loaded by ComfyUI; its patcher stays alive, as between two scenes."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "run"
    CATEGORY = "probe"
    kept: ClassVar[dict] = {}

    @classmethod
    def INPUT_TYPES(cls):
        size = ("INT", {"default": 200, "min": 0, "max": 4096})
        return {"required": {"images": ("IMAGE",), "name": ("STRING", {}), "mib": size}}

    def run(self, images, name, mib):
        if not mib:
            self.kept.clear()
            comfy.model_management.unload_all_models()
            return (None,)
        if name not in self.kept:
            model = torch.nn.Linear(mib * 2**18, 1, bias=False)
            cpu = torch.device("cpu")
            self.kept[name] = comfy.model_patcher.ModelPatcher(model, cpu, cpu)
        comfy.model_management.load_models_gpu([self.kept[name]])
        return (self.kept[name],)


class ProbeSave:
    """Writes pictures or latents as they are, in float32, to output/<name>.safetensors."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    CATEGORY = "probe"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"name": ("STRING", {"default": "probe"})},
            "optional": {"images": ("IMAGE",), "samples": ("LATENT",)},
        }

    def run(self, name, images=None, samples=None):
        tensor = images if images is not None else samples["samples"]
        path = Path(folder_paths.get_output_directory()) / f"{name}.safetensors"
        save_file({"tensor": tensor.float().cpu().contiguous()}, path)
        return {"ui": {"tensors": [path.name]}}


NODE_CLASS_MAPPINGS = {
    node.__name__: node
    for node in (
        ProbeFrames,
        ProbeConditioning,
        ProbeConcatLatent,
        ProbeLeak,
        ProbeModel,
        ProbeNestedLatent,
        ProbeSave,
    )
}
