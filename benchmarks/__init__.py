"""`python -m benchmarks` times convjax, lax, torch and SciPy."""
