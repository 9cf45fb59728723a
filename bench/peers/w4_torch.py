"""Workload 4 in PyTorch: nanoGPT's character model for CPUs, batch 12, AdamW; its own attention kernel, and compiled."""

from gpt_torch import Gpt, adamw, loss_of
from torch_training import serve_torch, torch, training

from data import tokens

BLOCKS, HEADS, WIDTH, TIME, VOCABULARY = 4, 4, 128, 64, 65
x, y = tokens(4, 12, TIME, VOCABULARY)
BATCHES = [(torch.from_numpy(a).long(), torch.from_numpy(b).long()) for a, b in zip(x, y)]


def gpt():
    return Gpt(BLOCKS, HEADS, WIDTH, TIME, VOCABULARY)


serve_torch(
    gpt,
    {
        "train/eager": training(gpt, loss_of, BATCHES, adamw, fused=False),
        "train/fused AdamW": training(gpt, loss_of, BATCHES, adamw),
        "train/compiled": training(gpt, loss_of, BATCHES, adamw, compiled=True),
    },
)
