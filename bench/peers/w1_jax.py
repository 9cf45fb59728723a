"""Workload 1 in JAX: MLP 784-128-10, batch 32, Adam; a jitted step, steps scanned inside one call; and prediction."""

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

from w1_data import BATCHES, BATCH, inputs, labels, weights

LEARNING_RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-7


def logits(params, x):
    w1, b1, w2, b2 = params
    return jax.nn.relu(x @ w1 + b1) @ w2 + b2


def loss_of(params, x, y):
    return -jnp.mean(jnp.sum(jax.nn.one_hot(y, 10) * jax.nn.log_softmax(logits(params, x)), axis=1))


def step(state, batch):
    params, m, v, t = state
    loss, grads = jax.value_and_grad(loss_of)(params, *batch)
    t = t + 1
    alpha = LEARNING_RATE * jnp.sqrt(1 - BETA2**t) / (1 - BETA1**t)
    m = [BETA1 * a + (1 - BETA1) * g for a, g in zip(m, grads)]
    v = [BETA2 * a + (1 - BETA2) * g * g for a, g in zip(v, grads)]
    params = [p - alpha * a / (jnp.sqrt(b) + EPSILON) for p, a, b in zip(params, m, v)]
    return (params, m, v, t), loss


def start():
    params = [jnp.asarray(w) for w in weights()]
    zeros = lambda: [jnp.zeros_like(w) for w in params]
    return params, zeros(), zeros(), jnp.float32(0)


def train_jitted():
    xs = [jnp.asarray(x) for x in inputs(BATCHES, BATCH)]
    ys = [jnp.asarray(y) for y in labels(BATCHES, BATCH)]
    jitted = jax.jit(step, donate_argnums=0)
    state = start()

    def run(n):
        nonlocal state
        for i in range(n):
            state, loss = jitted(state, (xs[i % BATCHES], ys[i % BATCHES]))
        jax.block_until_ready(state)
        return n, float(loss)

    run(50)
    return run


def train_scanned():
    batches = (jnp.asarray(inputs(BATCHES, BATCH)), jnp.asarray(labels(BATCHES, BATCH)))
    scanned = jax.jit(lambda state, batches: jax.lax.scan(step, state, batches), donate_argnums=0)
    state = start()

    def run(n):
        nonlocal state
        calls = -(-n // BATCHES)
        for _ in range(calls):
            state, losses = scanned(state, batches)
        jax.block_until_ready(state)
        return calls * BATCHES, float(losses[-1])

    run(50)
    return run


def predict(batch):
    def prepare():
        params = [jnp.asarray(w) for w in weights()]
        xs = [jnp.asarray(x) for x in inputs(8, batch)]
        jitted = jax.jit(lambda params, x: jax.nn.softmax(logits(params, x)))

        def run(n):
            for i in range(n):
                y = jitted(params, xs[i % 8])
            jax.block_until_ready(y)
            return n, None

        run(20)
        return run

    return prepare


serve(
    "JAX",
    jax.__version__,
    {
        "train/jitted": train_jitted,
        "train/scanned": train_scanned,
        "predict1/jitted": predict(1),
        "predict1024/jitted": predict(1024),
    },
)
