"""Independent readings: nvidia-smi, never our own code. Bytes are to the MiB that it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager

MIB = 2**20


def _smi(*query: str) -> list[list[str]]:
    """Rows of all GPUs, also of those that CUDA_VISIBLE_DEVICES hides."""
    done = subprocess.run(
        ["nvidia-smi", *query, "--format=csv,noheader,nounits"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line]


def used(uuid: str) -> int:
    """Bytes in use on the device."""
    return _memory(uuid, "used")


def free(uuid: str) -> int:
    """Bytes that are free on the device."""
    return _memory(uuid, "free")


def total(uuid: str) -> int:
    """Bytes that the device has."""
    return _memory(uuid, "total")


def _memory(uuid: str, figure: str) -> int:
    rows = _smi(f"--query-gpu=uuid,memory.{figure}")
    return next(int(row[1]) * MIB for row in rows if row[0] == uuid)


def processes(uuid: str) -> dict[int, int]:
    """Bytes by pid on the device."""
    rows = _smi("--query-compute-apps=gpu_uuid,pid,used_memory")
    return {int(row[1]): int(row[2]) * MIB for row in rows if row[0] == uuid}


@contextmanager
def another_process(gib: int):
    """A process that holds `gib` GiB on the same device; gives its pid."""
    code = (
        "import sys, torch; x = torch.empty(int(sys.argv[1]) << 30, dtype=torch.uint8, "
        "device='cuda'); torch.cuda.synchronize(); print('ready', flush=True); sys.stdin.read()"
    )
    environment = {k: v for k, v in os.environ.items() if "ALLOC_CONF" not in k}
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(gib)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        assert process.stdout.readline().strip() == "ready"
        yield process.pid
    finally:
        process.stdin.close()
        process.wait(30)
