"""The convolution as a JAX primitive: its rules, the steps around it in a call, and the timings of `tune`."""
