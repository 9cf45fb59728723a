"""Workload 3 in TensorFlow by Keras: an LSTM of 128 units over 100 steps of 64 features, batch 32, Adam."""

from keras_training import keras, serve_keras

from data import patterns

layers = keras.layers


def network():
    return keras.Sequential([layers.Input([100, 64]), layers.LSTM(128), layers.Dense(10, activation="softmax")])


serve_keras(network, keras.optimizers.Adam, patterns(4, 32, 100, 64))
