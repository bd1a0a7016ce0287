"""`python -m benchmarks`: convjax beside lax and torch."""
