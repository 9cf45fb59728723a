"""Random images and labels for workload 1, kept in memory as every Python peer takes them."""

import numpy

BATCH = 32
BATCHES = 64


def inputs(batches, batch):
    """[batches, batch, 784] float32 in [0, 1)."""
    return numpy.random.default_rng(1).random((batches, batch, 784), dtype=numpy.float32)


def labels(batches, batch):
    """[batches, batch] int32 classes below 10."""
    return numpy.random.default_rng(2).integers(0, 10, (batches, batch), dtype=numpy.int32)


def weights():
    """Glorot-uniform weights and zero biases of both layers."""
    generator = numpy.random.default_rng(3)

    def dense(rows, columns):
        limit = (6 / (rows + columns)) ** 0.5
        return generator.uniform(-limit, limit, (rows, columns)).astype(numpy.float32), numpy.zeros(columns, numpy.float32)

    return [*dense(784, 128), *dense(128, 10)]
