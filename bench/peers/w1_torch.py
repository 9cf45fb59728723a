"""Workload 1 in PyTorch: MLP 784-128-10, batch 32, Adam; eager, with the fused optimizer, compiled; and prediction."""

from torch_training import DEVICE, chosen, precision, serve, torch

from w1_data import BATCHES, BATCH, inputs, labels


def network():
    return torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))


def train(fused, compiled=False):
    def prepare():
        model = network()
        criterion = torch.nn.CrossEntropyLoss()
        optimizer = torch.optim.Adam(model.parameters(), fused=fused)
        xs = [torch.from_numpy(x).to(DEVICE) for x in inputs(BATCHES, BATCH)]
        ys = [torch.from_numpy(y).long().to(DEVICE) for y in labels(BATCHES, BATCH)]

        def forward(x, y):
            with precision():
                return criterion(model(x), y)

        evaluate = torch.compile(forward) if compiled else forward

        def run(n):
            for i in range(n):
                optimizer.zero_grad(set_to_none=True)
                loss = evaluate(xs[i % BATCHES], ys[i % BATCHES])
                loss.backward()
                optimizer.step()
            return n, loss.item()

        run(50)
        return run

    return prepare


def predict(batch, traced):
    def prepare():
        model = torch.nn.Sequential(network(), torch.nn.Softmax(dim=1)).eval()
        xs = [torch.from_numpy(x).to(DEVICE) for x in inputs(8, batch)]
        if traced:
            model = torch.jit.optimize_for_inference(torch.jit.trace(model, xs[0]))

        @torch.inference_mode()
        def run(n):
            for i in range(n):
                y = model(xs[i % 8])
            y[0, 0].item()
            return n, None

        run(20)
        return run

    return prepare


serve(
    "PyTorch",
    torch.__version__,
    chosen({
        "train/eager": train(fused=False),
        "train/fused Adam": train(fused=True),
        "train/compiled": train(fused=True, compiled=True),
        "predict1/eager": predict(1, traced=False),
        "predict1/traced": predict(1, traced=True),
        "predict1024/eager": predict(1024, traced=False),
        "predict1024/traced": predict(1024, traced=True),
    }),
    parameters=sum(weight.numel() for weight in network().parameters()),
)
