"""ComfyUI's models as the account sees them, on its own model management with main memory."""

from __future__ import annotations

import gc

import torch


def _device(pack):
    """Main memory taken for a card, so that weights there are on the device."""
    device = pack.memory.RamDevice()
    device.weights_leave = True
    device.device = torch.device("cpu")
    return device


def _loaded(vae):
    from comfy import model_management

    model_management.load_models_gpu([vae.patcher], force_full_load=True)
    return model_management


def check_a_loaded_vae_is_listed_with_all_its_bytes(vae, pack):
    _loaded(vae)
    (found,) = pack.memory_models.ComfyModels().models(_device(pack))
    weights = [*vae.first_stage_model.parameters(), *vae.first_stage_model.buffers()]
    assert found.in_torch == sum(weight.nbytes for weight in weights) > 0
    assert found.key == pack.memory_models.key_of(vae)
    assert found.name == type(vae.first_stage_model).__name__


def check_the_weights_are_those_that_the_account_counts(vae, pack):
    """A repair moves these and nothing else."""
    _loaded(vae)
    models, device = pack.memory_models.ComfyModels(), _device(pack)
    (found,) = models.models(device)
    weights = models.weights(device, found.key)
    assert {weight.untyped_storage().data_ptr() for weight in weights} == found.storages
    assert models.weights(device, -1) == []


def check_only_what_is_kept_stays_loaded(vae, pack):
    mm = _loaded(vae)
    models, device = pack.memory_models.ComfyModels(), _device(pack)
    models.unload(device, pack.memory_models.keys_of([vae]))
    assert [entry.model for entry in mm.current_loaded_models] == [vae.patcher]
    models.unload(device, [])
    assert mm.current_loaded_models == []


def check_a_vae_that_the_executor_dropped_is_gone_and_no_tensor_of_it_is_left(vae, pack):
    """What --cache-none does after the last node that takes a VAE."""
    _loaded(vae)
    pointers = {weight.data_ptr() for weight in vae.first_stage_model.parameters()}
    model, patcher = vae.first_stage_model, vae.patcher
    vae.first_stage_model = vae.patcher = None
    models, device = pack.memory_models.ComfyModels(), _device(pack)
    assert len(models.models(device)) == 1, "a patcher that somebody has keeps it"
    del patcher
    # A leak: the weights are there and ComfyUI can no longer move them.
    (leaked,) = models.models(device)
    assert "leaked" in leaked.name
    assert leaked.in_torch > 0
    del model
    gc.collect()
    assert models.models(device) == []
    found = pack.memory.holdings(device, [models]).found
    assert not pointers & {entry.tensor.data_ptr() for entry in found}
