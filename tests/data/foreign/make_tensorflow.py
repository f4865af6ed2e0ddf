"""Writes the small Keras and TensorFlow files of this folder, as those libraries themselves write them.

`pip install tensorflow-cpu==2.21.0` (which brings Keras 3.15.1), then `python make_tensorflow.py` in this folder.
`tensorflow.npz` has what the discriminator answers to an image, so that a reader's weights can be put to the test.
"""

from __future__ import annotations

import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

keras.utils.set_random_seed(7)
discriminator = keras.Sequential(
    [
        keras.Input((7, 7, 3)),
        layers.SpectralNormalization(layers.Conv2D(4, 3, name="judge")),
        layers.Conv2DTranspose(6, 2),
        layers.DepthwiseConv2D(2, depth_multiplier=2, use_bias=False),
        layers.SeparableConv2D(3, 2, use_bias=False),
        layers.Flatten(),
        layers.Dense(1),
    ],
    name="discriminator",
)
generator = keras.Sequential([keras.Input((2,)), layers.Dense(5)], name="generator")
image = np.random.default_rng(0).normal(size=(2, 7, 7, 3)).astype(np.float32)
for variable in discriminator.weights:
    if variable.ndim == 1:
        variable.assign(np.linspace(-0.2, 0.3, variable.shape[0], dtype=np.float32))
discriminator(image, training=True)
optimizer = keras.optimizers.Adam()
optimizer.build(discriminator.trainable_variables)
np.savez("tensorflow.npz", image=image, answer=np.asarray(discriminator(image, training=False)))

discriminator.save("discriminator_20.keras")
discriminator.save("discriminator_20.h5", include_optimizer=False)
checkpoint = tf.train.Checkpoint(
    discriminator=discriminator, generator=generator, discriminator_optimizer=optimizer, step=tf.Variable(20)
)
checkpoint.write("ckpt-20")
