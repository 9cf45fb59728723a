"""Workload 3 in PyTorch: an LSTM of 128 units over 100 steps of 64 features, batch 32, Adam."""

from torch_training import serve_torch, torch, training

from data import patterns

nn = torch.nn
x, y = patterns(4, 32, 100, 64)
BATCHES = [(torch.from_numpy(a), torch.from_numpy(b).long()) for a, b in zip(x, y)]
# Time first: what the library's own loop over the steps reads.
FIRST = [(a.transpose(0, 1).contiguous(), b) for a, b in BATCHES]


class Network(nn.Module):
    def __init__(self, batch_first):
        super().__init__()
        self.lstm = nn.LSTM(64, 128, batch_first=batch_first)
        self.dense = nn.Linear(128, 10)

    def forward(self, x):
        _, (h, _) = self.lstm(x)
        return self.dense(h[0])


def loss_of(model, x, y):
    return nn.functional.cross_entropy(model(x), y)


def usual():
    return Network(batch_first=True)


def time_first():
    return Network(batch_first=False)


adam = torch.optim.Adam
serve_torch(
    usual,
    {
        "train/eager": training(usual, loss_of, BATCHES, adam, fused=False),
        "train/fused Adam": training(usual, loss_of, BATCHES, adam),
        "train/fused Adam, time first": training(time_first, loss_of, FIRST, adam),
        "train/compiled": training(usual, loss_of, BATCHES, adam, compiled=True),
    },
)
