"""Workload 2 in PyTorch: a small convolutional network, batch 64, Adam; in both memory layouts, and compiled."""

from torch_training import serve_torch, torch, training

from data import patterns

nn = torch.nn
x, y = patterns(4, 64, 28, 28)
BATCHES = [(torch.from_numpy(a).unsqueeze(1), torch.from_numpy(b).long()) for a, b in zip(x, y)]
LAST = [(a.to(memory_format=torch.channels_last), b) for a, b in BATCHES]


def network():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def channels_last():
    return network().to(memory_format=torch.channels_last)


def loss_of(model, x, y):
    return nn.functional.cross_entropy(model(x), y)


adam = torch.optim.Adam
serve_torch(
    network,
    {
        "train/eager": training(network, loss_of, BATCHES, adam, fused=False),
        "train/fused Adam": training(network, loss_of, BATCHES, adam),
        "train/fused Adam, channels last": training(channels_last, loss_of, LAST, adam),
        "train/compiled": training(network, loss_of, BATCHES, adam, compiled=True),
    },
)
