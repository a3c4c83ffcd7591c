"""Memory seen from outside ComfyUI: readings of a running server or of the driver, and recordings.

Imports neither torch nor ComfyUI: it has to start at once, in any environment.
"""
