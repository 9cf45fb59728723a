"""Workload 2 in TensorFlow by Keras: a small convolutional network, batch 64, Adam."""

from keras_training import keras, serve_keras

from data import patterns

layers = keras.layers


def network():
    return keras.Sequential(
        [
            layers.Input([28, 28, 1]),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


serve_keras(network, keras.optimizers.Adam, patterns(4, 64, 28, 28, 1))
