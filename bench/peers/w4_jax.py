"""Workload 4 in JAX: nanoGPT's character model for CPUs, batch 12, AdamW."""

from jax_training import cross_entropy, jax, jnp, normal, serve_jax

from data import tokens

BLOCKS, HEADS, WIDTH, TIME, VOCABULARY = 4, 4, 128, 64, 65


def make():
    last = 0.02 / (2 * BLOCKS) ** 0.5
    block = lambda: {
        "norm1": jnp.ones(WIDTH),
        "attention": normal(0.02, WIDTH, 3 * WIDTH),
        "projection": normal(last, WIDTH, WIDTH),
        "norm2": jnp.ones(WIDTH),
        "widen": normal(0.02, WIDTH, 4 * WIDTH),
        "narrow": normal(last, 4 * WIDTH, WIDTH),
    }
    return {
        "letters": normal(0.02, VOCABULARY, WIDTH),
        "positions": normal(0.02, TIME, WIDTH),
        "blocks": [block() for _ in range(BLOCKS)],
        "norm": jnp.ones(WIDTH),
    }


def norm(x, scale):
    centered = x - x.mean(-1, keepdims=True)
    return centered * jax.lax.rsqrt((centered**2).mean(-1, keepdims=True) + 1e-5) * scale


def loss_of(params, x, y, _):
    hidden = params["letters"][x] + params["positions"]
    for block in params["blocks"]:
        shape = hidden.shape
        heads = (norm(hidden, block["norm1"]) @ block["attention"]).reshape(*shape[:2], 3, HEADS, WIDTH // HEADS)
        mixed = jax.nn.dot_product_attention(heads[:, :, 0], heads[:, :, 1], heads[:, :, 2], is_causal=True)
        hidden = hidden + mixed.reshape(shape) @ block["projection"]
        middle = jax.nn.gelu(norm(hidden, block["norm2"]) @ block["widen"], approximate=False)
        hidden = hidden + middle @ block["narrow"]
    return cross_entropy(norm(hidden, params["norm"]) @ params["letters"].T, y)


serve_jax(make, loss_of, tokens(4, 12, TIME, VOCABULARY), beta2=0.99, decay=0.1)
