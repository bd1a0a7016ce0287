"""Settings for the models of other libraries, which run under JAX's default ones."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import jax

jax.config.update("jax_numpy_dtype_promotion", "standard")
jax.config.update("jax_numpy_rank_promotion", "allow")
