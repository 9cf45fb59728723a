"""Workload 2 in JAX: a small convolutional network, batch 64, Adam."""

from jax_training import cross_entropy, glorot, jax, jnp, serve_jax

from data import patterns


def make():
    shapes = ((3, 3, 1, 32), (3, 3, 32, 64), (9216, 128), (128, 10))
    return [(glorot(*shape), jnp.zeros(shape[-1])) for shape in shapes]


def convolve(x, kernel):
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def loss_of(params, x, y, key):
    (k1, b1), (k2, b2), (w3, b3), (w4, b4) = params
    x = jax.nn.relu(convolve(x, k1) + b1)
    x = jax.nn.relu(convolve(x, k2) + b2)
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = jnp.where(jax.random.bernoulli(key, 0.75, x.shape), x / 0.75, 0)
    x = jax.nn.relu(x.reshape(len(x), -1) @ w3 + b3)
    return cross_entropy(x @ w4 + b4, y)


# Not scanned: XLA has no fast convolution inside of a loop on CPUs, it takes a hundred times as long.
serve_jax(make, loss_of, patterns(4, 64, 28, 28, 1), scan=False)
