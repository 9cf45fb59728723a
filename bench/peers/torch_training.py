"""What the PyTorch peers of workloads 2 to 4 share: threads, the device, and training eagerly, with the fused optimizer, and compiled."""

import contextlib
import os
import sys

from protocol import THREADS, missing, serve

try:
    import torch
except ImportError as error:
    missing(error)

torch.set_num_threads(THREADS)
torch.set_num_interop_threads(1)
torch.set_flush_denormal(True)
torch.manual_seed(1)

# `cuda` for the benchmarks of GPUs, with float32 products in TF32, or all that autocast gives to bfloat16.
DEVICE = os.environ.get("BENCH_DEVICE", "cpu")
DTYPE = os.environ.get("BENCH_DTYPE", "float32")
if DEVICE == "cuda":
    if not torch.cuda.is_available():
        missing("PyTorch sees no CUDA device")
    torch.set_default_device("cuda")
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True


def placed(*tensors):
    """The tensors on the device."""
    return tuple(each.to(DEVICE) for each in tensors)


def precision():
    """What forward passes run in."""
    if DTYPE == "bfloat16":
        return torch.autocast(DEVICE, torch.bfloat16)
    return contextlib.nullcontext()


def training(network, loss_of, batches, optimizer, fused=True, compiled=False):
    """An entry that trains `network()` by `loss_of(model, *batch)` on the batches in turn."""

    def prepare():
        model = network()
        step = optimizer(model.parameters(), fused=fused)
        there = [placed(*batch) for batch in batches]

        def forward(*batch):
            with precision():
                return loss_of(model, *batch)

        evaluate = torch.compile(forward) if compiled else forward

        def run(n):
            for i in range(n):
                step.zero_grad(set_to_none=True)
                loss = evaluate(*there[i % len(there)])
                loss.backward()
                step.step()
            return n, loss.item()

        run(2)
        return run

    return prepare


def chosen(entries):
    """The compiled entry where the command line says so, else all others: it gets a process of its own, since compiling may take too long."""
    compiled = "compiled" in sys.argv[1:]
    return {name: entry for name, entry in entries.items() if name.endswith("/compiled") == compiled}


def serve_torch(network, entries):
    """Speaks the line protocol."""
    parameters = sum(weight.numel() for weight in network().parameters())
    serve("PyTorch", torch.__version__, chosen(entries), parameters=parameters)
