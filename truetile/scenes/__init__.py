"""Many prompts through one ComfyUI, each with its time and memory, and nothing done twice."""
