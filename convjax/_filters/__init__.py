"""What SciPy's faces share: passes of one-dimensional sums, running means, exact integers, ranks, transforms."""
