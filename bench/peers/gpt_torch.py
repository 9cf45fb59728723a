"""nanoGPT's model in PyTorch, without biases, of any size."""

from torch_training import torch

nn = torch.nn


class Block(nn.Module):
    def __init__(self, heads, width):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, bias=False)
        self.attention = nn.Linear(width, 3 * width, bias=False)
        self.projection = nn.Linear(width, width, bias=False)
        self.norm2 = nn.LayerNorm(width, bias=False)
        self.widen = nn.Linear(width, 4 * width, bias=False)
        self.narrow = nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        shape = x.shape
        parts = self.attention(self.norm1(x)).view(*shape[:2], 3, self.heads, shape[2] // self.heads)
        mixed = nn.functional.scaled_dot_product_attention(*parts.permute(2, 0, 3, 1, 4), is_causal=True)
        x = x + self.projection(mixed.transpose(1, 2).reshape(shape))
        return x + self.narrow(nn.functional.gelu(self.widen(self.norm2(x))))


class Gpt(nn.Module):
    def __init__(self, blocks, heads, width, time, vocabulary):
        super().__init__()
        self.letters = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(time, width)
        self.blocks = nn.ModuleList(Block(heads, width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width, bias=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                last = name.endswith(("projection.weight", "narrow.weight"))
                nn.init.normal_(weight, std=0.02 / (2 * blocks) ** 0.5 if last else 0.02)

    def forward(self, x):
        hidden = self.letters(x) + self.positions.weight
        for block in self.blocks:
            hidden = block(hidden)
        return nn.functional.linear(self.norm(hidden), self.letters.weight)


def loss_of(model, x, y):
    return nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())


def adamw(parameters, fused):
    return torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=fused)
