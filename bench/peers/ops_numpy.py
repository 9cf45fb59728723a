"""Single operations in NumPy, matrix products by the OpenBLAS that it carries, into memory given beforehand."""

import os
from pathlib import Path

from protocol import missing, serve

# An OpenBLAS that does not know a newer processor takes its slowest kernels.
processor = Path("/proc/cpuinfo")
if processor.exists() and "avx512f" in processor.read_text():
    os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")

try:
    import numpy
except ImportError as error:
    missing(error)

from data import uniform


def calls(shapes, f, out=None):
    def prepare():
        operands = [uniform(i + 1, *shape) for i, shape in enumerate(shapes)]
        given = () if out is None else (numpy.empty(out, numpy.float32),)

        def run(n):
            for _ in range(n):
                f(*operands, *given)
            return n, None

        run(2)
        return run

    return prepare


LONG = (10_000_000,)
serve(
    "NumPy",
    numpy.__version__,
    {f"gemm{n}/matmul": calls([(n, n)] * 2, lambda a, b, out: numpy.matmul(a, b, out=out), (n, n)) for n in (512, 1024, 2048)}
    | {
        "exp/into memory given": calls([LONG], lambda a, out: numpy.exp(a, out=out), LONG),
        "sum/sum": calls([LONG], numpy.sum),
        "eager/add": calls([(4,), (4,)], numpy.add),
    },
)
