"""Workload 4 in PyTorch: nanoGPT's character model for CPUs, batch 12, AdamW; its own attention kernel, and compiled."""

from torch_training import serve_torch, torch, training

from data import tokens

nn = torch.nn
BLOCKS, HEADS, WIDTH, TIME, VOCABULARY = 4, 4, 128, 64, 65
x, y = tokens(4, 12, TIME, VOCABULARY)
BATCHES = [(torch.from_numpy(a).long(), torch.from_numpy(b).long()) for a, b in zip(x, y)]


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH, bias=False)
        self.attention = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.projection = nn.Linear(WIDTH, WIDTH, bias=False)
        self.norm2 = nn.LayerNorm(WIDTH, bias=False)
        self.widen = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x):
        shape = x.shape
        heads = self.attention(self.norm1(x)).view(*shape[:2], 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(*heads, is_causal=True)
        x = x + self.projection(mixed.transpose(1, 2).reshape(shape))
        return x + self.narrow(nn.functional.gelu(self.widen(self.norm2(x))))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.letters = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Embedding(TIME, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                last = name.endswith(("projection.weight", "narrow.weight"))
                nn.init.normal_(weight, std=0.02 / (2 * BLOCKS) ** 0.5 if last else 0.02)

    def forward(self, x):
        hidden = self.letters(x) + self.positions.weight
        for block in self.blocks:
            hidden = block(hidden)
        return nn.functional.linear(self.norm(hidden), self.letters.weight)


def loss_of(model, x, y):
    return nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())


def adamw(parameters, fused):
    return torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=fused)


serve_torch(
    Gpt,
    {
        "train/eager": training(Gpt, loss_of, BATCHES, adamw, fused=False),
        "train/fused AdamW": training(Gpt, loss_of, BATCHES, adamw),
        "train/compiled": training(Gpt, loss_of, BATCHES, adamw, compiled=True),
    },
)
