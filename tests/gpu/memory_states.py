"""Run by test_memory_account.py once per allocator: goes through states of a GPU, prints JSON.

Each state carries our account and what nvidia-smi said at the same moment.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable

import torch
import witness

import truetile
from truetile import memory
from truetile.memory.core import BACKEND
from truetile.memory.repair import repair
from truetile.memory.tensors import storage_pointer

GIB, MIB = 2**30, 2**20
KEPT: list = []  # what leaks; a variable of a running function has no name for the collector


class Manager:
    """Moves modules by `.to`, and says what of them is on the device."""

    def __init__(self, **modules: torch.nn.Module) -> None:
        self.modules = modules

    def models(self, device):
        found = []
        for name, module in self.modules.items():
            weights = [w for w in module.parameters() if device.holds(w)]
            count = sum(w.untyped_storage().nbytes() for w in weights)
            size = sum(w.nbytes for w in module.parameters())
            storages = frozenset(map(storage_pointer, weights))
            found.append(memory.ManagedModel(id(module), name, size, count, 0, storages=storages))
        return found

    def weights(self, device, key):
        return [
            w for module in self.modules.values() if id(module) == key for w in module.parameters()
        ]

    def buffers(self, device):
        return []

    def unload(self, device, keep):
        for module in self.modules.values():
            if id(module) not in keep:
                module.to("cpu")

    def free(self, device, count, keep):
        self.unload(device, keep)

    def release_buffers(self):
        pass


def model(gib: float) -> torch.nn.Module:
    """Square layers of half precision, `gib` GiB together."""
    layers = [
        torch.nn.Linear(8192, 8192, bias=False, dtype=torch.float16) for _ in range(int(gib * 8))
    ]
    return torch.nn.Sequential(*layers)


def show(kind: str, name: str, /, **data) -> None:
    # By position: the data of a phase has a "name" of its own.
    print(json.dumps({**data, "kind": kind, "name": name}), flush=True)


def main() -> None:
    device = memory.device_for("cuda")
    big, small = model(2), model(0.25)
    manager = Manager(big=big, small=small)
    memory.register_manager(manager)

    def state(name: str) -> None:
        torch.cuda.synchronize()
        account = memory.take_account(device, memory.holdings(device), where=True)
        others = witness.processes(device.uuid)
        show(
            "state", name,
            parts=[[p.name, p.kind, p.bytes] for p in account.parts],
            unknown=account.unknown, used=account.used, notes=list(account.notes),
            smi_used=witness.used(device.uuid), smi_own=others.pop(os.getpid(), None),
            smi_others=others,
        )  # fmt: skip

    def verdict(name: str, **request) -> None:
        outcome = memory.offload(device, memory.Request(**request))
        show(
            "verdict", name,
            outcome=outcome.verdict.outcome, text=memory.outcome_text(outcome),
            holders=[[h.name, h.bytes] for h in outcome.verdict.holders],
            seconds=outcome.seconds, smi_used=witness.used(device.uuid),
        )  # fmt: skip

    show("about", "run", backend=device.backend, core=BACKEND, torch=torch.__version__)
    state("idle")
    big.cuda()
    small.cuda()
    state("model loaded")
    x = torch.randn(4096, 8192, device="cuda", dtype=torch.float16)
    with torch.no_grad():
        expected = small(x).cpu()
        y = torch.nn.functional.conv2d(
            torch.randn(1, 64, 2048, 2048, device="cuda"),
            torch.randn(64, 64, 3, 3, device="cuda"), padding=1,
        )  # fmt: skip
    state("mid-decode")
    del y, x
    verdict("offload all", action="all")
    state("after offload")
    small.cuda()
    with torch.no_grad():
        generator = torch.randn(4096, 8192, dtype=torch.float16).cuda()
        first = small(generator)
        small.cpu()
        small.cuda()
        show("equal", "reload", equal=bool(torch.equal(first, small(generator))))
    del first, generator, expected
    with witness.another_process(4) as pid:
        state("second process")
        total = torch.cuda.mem_get_info()[1]
        verdict("budget against another process", action="all", must_be_free=total - 2 * GIB)
        show("pid", "other", pid=pid)
    leaks(verdict)
    probes(device)
    fragmentation(device, manager)
    peaks(device)
    tiles(device)
    overhead(device)


def leaks(verdict: Callable) -> None:
    """Real leaks of 1 GiB on the device, one after the other."""
    KEPT[:] = [torch.empty(GIB, dtype=torch.uint8, device="cuda")]
    verdict("leak: private tensor", action="all")
    KEPT[:] = [torch.nn.Linear(16384, 32768, bias=False, dtype=torch.float16, device="cuda")]
    verdict("leak: private model", action="all")

    def fail() -> None:
        frames = torch.empty(GIB, dtype=torch.uint8, device="cuda")
        raise RuntimeError(str(frames.shape))

    try:
        fail()
    except RuntimeError as error:
        KEPT[:] = [error]
    verdict("leak: traceback", action="all")
    KEPT.clear()
    gc.collect()
    verdict("after the leaks", action="all")


def probes(device) -> None:
    """Free bytes beside nvidia-smi's, and the largest block put to the test."""

    def fits(count: int) -> bool:
        try:
            torch.empty(count, dtype=torch.uint8, device="cuda")
        except torch.OutOfMemoryError:
            return False
        finally:
            torch.cuda.empty_cache()
        return True

    torch.cuda.empty_cache()
    smi_free = witness.free(device.uuid)
    found = memory.free_memory(device, probe=True)
    show(
        "probe", "free", smi_free=smi_free, driver=found.driver, largest=found.largest_block,
        how=found.how, fits=fits(int(found.largest_block * 0.98)),
        more_fits=fits(found.largest_block + GIB),
    )  # fmt: skip


def fragmentation(device, manager: Manager) -> None:
    """Weights of 2 MiB, each alone in a segment of 20: the memory beside them is stranded."""
    torch.cuda.empty_cache()
    layers, between = [], []
    for _ in range(64):
        layers.append(torch.nn.Linear(1024, 1024, bias=False, dtype=torch.float16).cuda())
        between += [torch.empty(2 * MIB, dtype=torch.uint8, device="cuda") for _ in range(9)]
    comb = manager.modules["comb"] = torch.nn.Sequential(*layers)
    x = torch.randn(16, 1024, device="cuda", dtype=torch.float16)
    with torch.no_grad():
        first = comb(x)
    between.clear()
    torch.cuda.empty_cache()
    stranded, before = device.stranded(), witness.used(device.uuid)
    free, total = torch.cuda.mem_get_info()
    # A goal that only step 4 meets; where that step cannot be done, one that nothing meets.
    done = repair(device, free + GIB if stranded is not None else total + 1, [manager])
    after, stays = witness.used(device.uuid), all(w.is_cuda for w in comb.parameters())
    comb.cuda()
    with torch.no_grad():
        equal = bool(torch.equal(first, comb(x)))
    del manager.modules["comb"]
    show(
        "repair", "comb", met=done.met, steps=[[s.name, s.detail] for s in done.steps],
        stranded_before=stranded, stranded_after=device.stranded(), smi_before=before,
        smi_after=after, stays=stays, equal=equal, text=str(done),
    )  # fmt: skip


def peaks(device) -> None:
    """A spike of 3 GiB for 50 ms, in a phase that began after a higher peak."""
    high = torch.empty(5 * GIB, dtype=torch.uint8, device="cuda")
    del high
    torch.cuda.empty_cache()
    monitor = memory.Monitor(device)
    monitor.start()
    for name, reset in (("spike below an older peak", False), ("spike", True)):
        smi_before = witness.used(device.uuid)
        if reset:  # another node does that; ours must notice
            torch.cuda.reset_peak_memory_stats()
        monitor.begin_phase(name)
        time.sleep(0.1)
        spike = torch.empty(3 * GIB, dtype=torch.uint8, device="cuda")
        torch.cuda.synchronize()
        time.sleep(0.05)
        del spike
        torch.cuda.empty_cache()
        time.sleep(0.1)
        stats = monitor.end_phase()
        show("phase", name, smi_before=smi_before, **memory.phase_data(stats))
    monitor.stop()


def tiles(device) -> None:
    """A decode in tiles beside a monitor: torch's counters are fed between them, by nobody here."""
    reads, marks = [0], device.marks

    def counted():
        reads[0] += 1
        return marks()

    def decode(latent: torch.Tensor) -> torch.Tensor:
        work = torch.empty(GIB, dtype=torch.uint8, device="cuda")
        torch.cuda.synchronize()
        time.sleep(0.03)  # longer than a sampling interval
        del work
        return torch.nn.functional.interpolate(latent[:, :3], scale_factor=8.0)

    vae = truetile.Callables(
        decode=decode, spatial=8, latent_channels=4, bytes_per_pixel=100.0, device="cuda"
    )
    samples = torch.randn(1, 4, 64, 64)
    torch.cuda.reset_peak_memory_stats()
    monitor = memory.Monitor(device)
    device.marks = counted
    monitor.start()
    monitor.begin_phase("tiles")
    before = reads[0]
    _, report = truetile.decode(vae, samples, mode="blended", tile_size=128, overlap=0)
    fed = reads[0] - before
    stats = monitor.end_phase()
    monitor.stop()
    del device.marks
    show("tiles", "decode", tiles=report.tiles, fed=fed, **memory.phase_data(stats)["channels"])


def overhead(device) -> None:
    """The sampler's time on the processor, and what it costs a loop of kernels."""
    x = torch.randn(4096, 4096, device="cuda", dtype=torch.float16)

    def work() -> float:
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(2000):
            torch.mm(x, x)
        torch.cuda.synchronize()
        return time.perf_counter() - began

    for _ in range(3):  # until clocks and temperature have settled
        work()
    without, with_sampler, monitor = [], [], memory.Monitor(device)
    for i in range(6):
        # In turn first and second, so that a drift of the clock speed hits both alike.
        for sampled in (i % 2 == 0, i % 2 != 0):
            if sampled:
                monitor.start()
            (with_sampler if sampled else without).append(work())
            monitor.sampler.stop()
    taken, cpu = monitor.sampler.taken, monitor.sampler.cpu_seconds
    show(
        "overhead", "sampler", seconds_without=min(without), seconds_with=min(with_sampler),
        all_without=without, all_with=with_sampler, cpu_share=cpu / sum(with_sampler),
        cpu_per_sample=cpu / max(1, taken), samples=taken, driver=device.uuid,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
