"""What only GPUs are timed on, in PyTorch: matrix products by cuBLASLt, convolutions of ResNet-50, and GPT-2's smallest model. BENCH_SIZES says how large."""

import json
import os

from data import tokens, uniform
from gpt_torch import Gpt, adamw, loss_of
from torch_training import DEVICE, DTYPE, chosen, precision, serve, torch, training

SIZES = json.loads(os.environ["BENCH_SIZES"])
KIND = torch.bfloat16 if DTYPE == "bfloat16" else torch.float32
if DEVICE == "cuda":
    torch.backends.cuda.preferred_blas_library("cublaslt")


def drawn(seed, *shape):
    return torch.from_numpy(uniform(seed, *shape)).to(DEVICE, KIND)


def gemm(n):
    def prepare():
        a, b = drawn(1, n, n), drawn(2, n, n)
        out = torch.empty(n, n, dtype=KIND, device=DEVICE)

        @torch.inference_mode()
        def run(count):
            for _ in range(count):
                torch.mm(a, b, out=out)
            out[0, 0].item()
            return count, None

        run(3)
        return run

    return prepare


def conv(batch, size, channels, filters, kernel, stride):
    def prepare():
        x = drawn(1, batch, channels, size, size).to(memory_format=torch.channels_last).requires_grad_()
        w = drawn(2, filters, channels, kernel, kernel).to(memory_format=torch.channels_last).requires_grad_()

        def run(count):
            for _ in range(count):
                x.grad = w.grad = None
                y = torch.nn.functional.conv2d(x, w, stride=stride, padding=kernel // 2)
                y.backward(y.detach())
            w.grad.flatten()[0].item()
            return count, None

        run(3)
        return run

    return prepare


entries = {f"gemm{n}/cuBLASLt": gemm(n) for n in SIZES["gemm"]}
entries |= {f"conv{i}/cuDNN": conv(*shape) for i, shape in enumerate(SIZES["convs"])}
blocks, heads, width, time, vocabulary, batch = SIZES["gpt"]


def network():
    return Gpt(blocks, heads, width, time, vocabulary)


x, y = tokens(2, batch, time, vocabulary)
batches = [(torch.from_numpy(a).long(), torch.from_numpy(b).long()) for a, b in zip(x, y)]
entries |= {
    "gpt/fused AdamW": training(network, loss_of, batches, adamw),
    "gpt/compiled": training(network, loss_of, batches, adamw, compiled=True),
}
serve("PyTorch", torch.__version__, chosen(entries), parameters=sum(p.numel() for p in network().parameters()))
