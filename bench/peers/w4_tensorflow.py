"""Workload 4 in TensorFlow by Keras: nanoGPT's character model for CPUs, batch 12, AdamW."""

from keras_training import keras, serve_keras

from data import tokens

layers = keras.layers
BLOCKS, HEADS, WIDTH, TIME, VOCABULARY = 4, 4, 128, 64, 65


def normal(stddev=0.02):
    return keras.initializers.RandomNormal(0, stddev)


class Positions(layers.Layer):
    """Adds a learned row to each position."""

    def build(self, shape):
        self.table = self.add_weight(shape=(TIME, WIDTH), initializer=normal())

    def call(self, x):
        return x + self.table


def network():
    last = 0.02 / (2 * BLOCKS) ** 0.5
    x = keras.Input([TIME], dtype="int32")
    letters = layers.ReversibleEmbedding(VOCABULARY, WIDTH, embeddings_initializer=normal())
    hidden = Positions()(letters(x))
    norm = lambda: layers.LayerNormalization(epsilon=1e-5, center=False)
    for _ in range(BLOCKS):
        attention = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, use_bias=False, kernel_initializer=normal())
        normed = norm()(hidden)
        hidden = hidden + attention(normed, normed, use_causal_mask=True)
        middle = layers.Dense(4 * WIDTH, "gelu", use_bias=False, kernel_initializer=normal())(norm()(hidden))
        hidden = hidden + layers.Dense(WIDTH, use_bias=False, kernel_initializer=normal(last))(middle)
    return keras.Model(x, letters(norm()(hidden), reverse=True))


def adamw():
    return keras.optimizers.AdamW(1e-3, beta_2=0.99, weight_decay=0.1)


loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
serve_keras(network, adamw, tokens(4, 12, TIME, VOCABULARY), loss)
