"""What the TensorFlow peers of workloads 2 to 4 share: Keras' own training step on it, as it is, compiled by XLA, and four steps a call."""

import os

from protocol import THREADS, missing, serve

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

try:
    import tensorflow
    import keras
except ImportError as error:
    missing(error)

tensorflow.config.threading.set_intra_op_parallelism_threads(THREADS)
tensorflow.config.threading.set_inter_op_parallelism_threads(THREADS)


def _training(network, optimizer, loss, batches, compiled, steps_per_execution):
    def prepare():
        keras.utils.set_random_seed(1)
        model = network()
        model.compile(
            optimizer=optimizer(), loss=loss, jit_compile=compiled, steps_per_execution=steps_per_execution
        )
        # What fit calls for each step or steps, without its work around an epoch, which short epochs make count.
        iterator = iter(tensorflow.data.Dataset.from_tensor_slices(batches).repeat().prefetch(2))
        step = model.make_train_function()
        step = step if callable(step) else model.train_function

        def run(n):
            calls = -(-n // steps_per_execution)
            model.reset_metrics()
            for _ in range(calls):
                logs = step(iterator)
            return calls * steps_per_execution, float(logs["loss"])

        run(1)
        return run

    return prepare


def serve_keras(network, optimizer, batches, loss="sparse_categorical_crossentropy"):
    """Speaks the line protocol. `batches`: x and y with a first dimension of batches."""
    variants = {"train_function": (False, 1), "XLA": (True, 1), "4 steps a call": (False, 4)}
    entries = {
        f"train/{name}": _training(network, optimizer, loss, batches, *options)
        for name, options in variants.items()
    }
    parameters = sum(int(weight.numpy().size) for weight in network().trainable_weights)
    serve("TensorFlow", f"{tensorflow.__version__} (Keras {keras.__version__})", entries, parameters=parameters)
