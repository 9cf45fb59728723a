"""Single operations in JAX, each jitted."""

from jax_training import jax, jnp, serve

from data import uniform

ELEMENTS, ROWS, COLUMNS = 10_000_000, 4096, 1024


def calls(shapes, f):
    def prepare():
        operands = [jnp.asarray(uniform(i + 1, *shape)) for i, shape in enumerate(shapes)]
        call = jax.jit(f)

        def run(n):
            for _ in range(n):
                result = call(*operands)
            jax.block_until_ready(result)
            return n, None

        run(2)
        return run

    return prepare


def layer_norm(x, scale, offset):
    mean = x.mean(1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(((x - mean) ** 2).mean(1, keepdims=True) + 1e-5) * scale + offset


LONG, TABLE = (ELEMENTS,), (ROWS, COLUMNS)
serve(
    "JAX",
    jax.__version__,
    {f"gemm{n}/jitted": calls([(n, n)] * 2, jnp.matmul) for n in (512, 1024, 2048)}
    | {
        "mulAdd/jitted": calls([LONG] * 3, lambda a, b, c: a * b + c),
        "exp/jitted": calls([LONG], jnp.exp),
        "sum/jitted": calls([LONG], jnp.sum),
        "softmax/jitted": calls([TABLE], jax.nn.softmax),
        "layerNorm/jitted": calls([TABLE, (COLUMNS,), (COLUMNS,)], layer_norm),
        "eager/jitted add": calls([(4,), (4,)], jnp.add),
    },
)
