"""Which algorithm computes a convolution."""
