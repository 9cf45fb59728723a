"""The data that workloads 2 to 4 train on: the very numbers that data.mjs makes for the peers in JavaScript."""

import numpy


def _random(seed, count):
    """`count` numbers in [0, 1): mulberry32 (public domain), whose states are a counter's."""
    state = (seed + numpy.arange(1, count + 1, dtype=numpy.uint64) * 0x6D2B79F5).astype(numpy.uint32)
    z = (state ^ (state >> 15)) * (state | 1)
    z = (z + (z ^ (z >> 7)) * (z | 61)) ^ z
    return (z ^ (z >> 14)).astype(numpy.float64) / 2**32


def uniform(seed, *shape):
    """float32 numbers in [0, 1)."""
    return _random(seed, int(numpy.prod(shape))).astype(numpy.float32).reshape(shape)


def integers(seed, below, *shape):
    """int32 numbers in [0, below)."""
    return (_random(seed, int(numpy.prod(shape))) * below).astype(numpy.int32).reshape(shape)


def patterns(batches, batch, *sample):
    """Ten classes of samples, each a pattern half hidden in noise: x [batches, batch, ...sample] in [0, 1), y [batches, batch] classes."""
    shapes = uniform(1, 10, *sample)
    y = integers(2, 10, batches, batch)
    return 0.5 * uniform(3, batches, batch, *sample) + 0.5 * shapes[y], y


def tokens(batches, batch, time, vocabulary):
    """Rows of tokens and what follows each by a rule: two [batches, batch, time]."""
    x = integers(1, vocabulary, batches, batch, time)
    return x, (7 * x + 3) % vocabulary
