"""Memory that tells the truth: who holds it, whether an offload freed it, how far peaks are known.

    >>> from truetile import memory
    >>> device = memory.device_for()
    >>> print(memory.account_text(memory.take_account(device, memory.holdings(device))))
    >>> outcome = memory.offload(device, memory.Request("all", must_be_free=8 * 2**30))
    >>> print(memory.outcome_text(outcome))

Importing this imports torch, and neither ComfyUI nor NVML.
"""

from .core import BACKEND, make_account, say_bytes
from .describe import (
    account_text,
    outcome_data,
    outcome_summary,
    outcome_text,
    phase_data,
    phase_text,
    verdict_text,
)
from .devices import CudaDevice, MemoryDevice, RamDevice, device_for
from .monitor import Monitor, monitor
from .offload import Outcome, offload
from .offload_request import Request
from .owners import (
    Buffers,
    Holdings,
    ManagedModel,
    ModelManager,
    holdings,
    register_manager,
    take_account,
)
from .probes import FreeMemory, free_memory

__all__ = [
    "BACKEND",
    "Buffers",
    "CudaDevice",
    "FreeMemory",
    "Holdings",
    "ManagedModel",
    "MemoryDevice",
    "ModelManager",
    "Monitor",
    "Outcome",
    "RamDevice",
    "Request",
    "account_text",
    "device_for",
    "free_memory",
    "holdings",
    "make_account",
    "monitor",
    "offload",
    "outcome_data",
    "outcome_summary",
    "outcome_text",
    "phase_data",
    "phase_text",
    "register_manager",
    "say_bytes",
    "take_account",
    "verdict_text",
]
