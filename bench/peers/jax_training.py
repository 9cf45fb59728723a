"""What the JAX peers of workloads 2 to 4 share: Adam, a jitted step, and steps scanned inside one call."""

import os

from protocol import THREADS, missing, serve

os.environ["JAX_PLATFORMS"] = "cpu"
if THREADS == 1:
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"

try:
    import jax
except ImportError as error:
    missing(error)

import jax.numpy as jnp
import numpy

map_tree = jax.tree_util.tree_map
_random = numpy.random.default_rng(3)


def glorot(*shape, stacked=1):
    """Uniform weights of a product whose columns are `stacked` products beside each other."""
    fan = numpy.prod(shape[:-2], dtype=int)
    limit = (6 / (fan * (shape[-2] + shape[-1] / stacked))) ** 0.5
    return jnp.asarray(_random.uniform(-limit, limit, shape), jnp.float32)


def normal(stddev, *shape):
    return jnp.asarray(_random.normal(0, stddev, shape), jnp.float32)


def cross_entropy(logits, y):
    """Mean over all but the last dimension."""
    picked = jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], axis=-1)
    return -jnp.mean(picked)


def _step(loss_of, beta2, decay):
    rate, beta1, epsilon = 1e-3, 0.9, 1e-7

    def step(state, batch):
        params, m, v, t, key = state
        key, use = jax.random.split(key)
        loss, grads = jax.value_and_grad(loss_of)(params, *batch, use)
        t = t + 1
        alpha = rate * jnp.sqrt(1 - beta2**t) / (1 - beta1**t)
        m = map_tree(lambda a, g: beta1 * a + (1 - beta1) * g, m, grads)
        v = map_tree(lambda a, g: beta2 * a + (1 - beta2) * g * g, v, grads)
        params = map_tree(lambda p, a, b: p * (1 - rate * decay) - alpha * a / (jnp.sqrt(b) + epsilon), params, m, v)
        return (params, m, v, t, key), loss

    return step


def serve_jax(make, loss_of, batches, beta2=0.999, decay=0.0, scan=True):
    """Speaks the line protocol. `make()` gives the weights; `loss_of(weights, x, y, key)`; `batches`: x and y with a first dimension of batches;
    `scan`: whether to scan too."""
    step = _step(loss_of, beta2, decay)
    count = len(batches[0])

    def start():
        params = make()
        zeros = lambda: map_tree(jnp.zeros_like, params)
        # Random bits by the processor's own generator: the default one takes several times as long.
        return params, zeros(), zeros(), jnp.float32(0), jax.random.key(1, impl="unsafe_rbg")

    def jitted():
        each = [tuple(jnp.asarray(part[i]) for part in batches) for i in range(count)]
        call = jax.jit(step, donate_argnums=0)
        state = start()

        def run(n):
            nonlocal state
            for i in range(n):
                state, loss = call(state, each[i % count])
            jax.block_until_ready(state)
            return n, float(loss)

        run(2)
        return run

    def scanned():
        every = tuple(jnp.asarray(part) for part in batches)
        call = jax.jit(lambda state, batches: jax.lax.scan(step, state, batches), donate_argnums=0)
        state = start()

        def run(n):
            nonlocal state
            calls = -(-n // count)
            for _ in range(calls):
                state, losses = call(state, every)
            jax.block_until_ready(state)
            return calls * count, float(losses[-1])

        run(1)
        return run

    parameters = sum(weight.size for weight in jax.tree_util.tree_leaves(make()))
    entries = {"train/jitted": jitted, "train/scanned": scanned} if scan else {"train/jitted": jitted}
    serve("JAX", jax.__version__, entries, parameters=parameters)
