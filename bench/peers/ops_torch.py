"""Single operations in PyTorch: into new memory as in a program, and into memory given beforehand."""

from torch_training import serve, torch

from data import uniform

ELEMENTS, ROWS, COLUMNS = 10_000_000, 4096, 1024


def calls(shapes, f, out=None):
    def prepare():
        operands = [torch.from_numpy(uniform(i + 1, *shape)) for i, shape in enumerate(shapes)]
        given = () if out is None else (torch.empty(out),)

        @torch.inference_mode()
        def run(n):
            for _ in range(n):
                f(*operands, *given)
            return n, None

        run(2)
        return run

    return prepare


def gemm(n):
    return calls([(n, n)] * 2, torch.mm), calls([(n, n)] * 2, lambda a, b, out: torch.mm(a, b, out=out), (n, n))


LONG, TABLE = (ELEMENTS,), (ROWS, COLUMNS)
layer_norm = lambda x, scale, offset: torch.nn.functional.layer_norm(x, (COLUMNS,), scale, offset)
entries = {}
for size in (512, 1024, 2048):
    entries[f"gemm{size}/mm"], entries[f"gemm{size}/mm into memory given"] = gemm(size)
entries |= {
    "mulAdd/eager": calls([LONG] * 3, lambda a, b, c: a * b + c),
    "mulAdd/addcmul into memory given": calls([LONG] * 3, lambda a, b, c, out: torch.addcmul(c, a, b, out=out), LONG),
    "exp/eager": calls([LONG], torch.exp),
    "exp/into memory given": calls([LONG], lambda a, out: torch.exp(a, out=out), LONG),
    "sum/eager": calls([LONG], torch.sum),
    "softmax/eager": calls([TABLE], lambda a: torch.softmax(a, 1)),
    "softmax/into memory given": calls([TABLE], lambda a, out: torch.softmax(a, 1, out=out), TABLE),
    "layerNorm/eager": calls([TABLE, (COLUMNS,), (COLUMNS,)], layer_norm),
    "eager/add": calls([(4,), (4,)], torch.add),
}
serve("PyTorch", torch.__version__, entries)
