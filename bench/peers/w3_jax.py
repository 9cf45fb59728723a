"""Workload 3 in JAX: an LSTM of 128 units over 100 steps of 64 features, batch 32, Adam; the inputs' product for all steps at once."""

from jax_training import cross_entropy, glorot, jax, jnp, serve_jax

from data import patterns


def make():
    return [glorot(64, 512), glorot(128, 512), jnp.zeros(512), glorot(128, 10), jnp.zeros(10)]


def loss_of(params, x, y, _):
    kernel, recurrent, bias, w, b = params
    sums = jnp.swapaxes(x @ kernel + bias, 0, 1)

    def step(state, sums):
        h, c = state
        i, f, g, o = jnp.split(sums + h @ recurrent, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), None

    zeros = jnp.zeros((x.shape[0], 128))
    (h, _), _ = jax.lax.scan(step, (zeros, zeros), sums)
    return cross_entropy(h @ w + b, y)


serve_jax(make, loss_of, patterns(4, 32, 100, 64))
