"""What the PyTorch peers of workloads 2 to 4 share: threads, and training eagerly, with the fused optimizer, and compiled."""

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


def training(network, loss_of, batches, optimizer, fused=True, compiled=False):
    """An entry that trains `network()` by `loss_of(model, *batch)` on the batches in turn."""

    def prepare():
        model = network()
        step = optimizer(model.parameters(), fused=fused)

        def forward(*batch):
            return loss_of(model, *batch)

        evaluate = torch.compile(forward) if compiled else forward

        def run(n):
            for i in range(n):
                step.zero_grad(set_to_none=True)
                loss = evaluate(*batches[i % len(batches)])
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
