"""Array code that knows no convolution."""
