"""Workload 1 in Keras 3 on the backend that is installed: MLP 784-128-10, batch 32, Adam; fit, and prediction."""

import importlib.util
import os

from protocol import THREADS, missing, serve

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["JAX_PLATFORMS"] = "cpu"
if THREADS == 1:
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
if "KERAS_BACKEND" not in os.environ:
    found = [name for name in ("tensorflow", "jax", "torch") if importlib.util.find_spec(name)]
    if not found:
        missing("Keras has none of its backends here: tensorflow, jax, torch")
    os.environ["KERAS_BACKEND"] = found[0]
BACKEND = os.environ["KERAS_BACKEND"]

try:
    import keras
except ImportError as error:
    missing(error)

import numpy

from w1_data import BATCHES, BATCH, inputs, labels

if BACKEND == "tensorflow":
    import tensorflow

    tensorflow.config.threading.set_intra_op_parallelism_threads(THREADS)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
elif BACKEND == "torch":
    import torch

    torch.set_num_threads(THREADS)


def network():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.layers.Input([784]),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def train(steps_per_execution):
    def prepare():
        model = network()
        more = {"steps_per_execution": steps_per_execution} if steps_per_execution > 1 else {}
        model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"], **more)
        x = inputs(BATCHES, BATCH).reshape(-1, 784)
        y = numpy.eye(10, dtype=numpy.float32)[labels(BATCHES, BATCH).reshape(-1)]

        def run(n):
            epochs = -(-n // BATCHES)
            history = model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)
            return epochs * BATCHES, history.history["loss"][-1]

        run(1)
        return run

    return prepare


def predict(batch):
    def prepare():
        model = network()
        model.compile()
        x = inputs(1, batch)[0]

        def run(n):
            for _ in range(n):
                model.predict_on_batch(x)
            return n, None

        run(5)
        return run

    return prepare


serve(
    "Keras",
    f"{keras.__version__} ({BACKEND})",
    {
        "train/fit": train(1),
        "train/fit, 32 steps a call": train(32),
        "predict1/predict_on_batch": predict(1),
        "predict1024/predict_on_batch": predict(1024),
    },
)
