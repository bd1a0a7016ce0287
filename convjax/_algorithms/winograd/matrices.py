"""The matrices A^T, G and B^T of F(7 - k, k), for 2 to 5 taps.

The points are 0, 1, -1, 1/2, -2. They round less than the usual 0, 1, -1, 2, -2 (B. Barabasz et al., arXiv:1803.10986,
search for such points). Errors stay below 1e-5 of the largest result. The tests check that.
"""

import functools
import math
from fractions import Fraction

import numpy as np

POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2))
TILE = len(POINTS) + 1  # elements of a tile along an axis


@functools.cache
def matrices(results: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A^T (results, 6), G (6, taps) and B^T (6, 6) for `results` results of 7 - results taps.

    With a_j the points, M(t) the product of all t - a_j and M_j(t) that of the others, row j of A is the powers of a_j,
    row j of G those powers over M_j(a_j), row j of B^T the coefficients of M_j. Infinity takes the leading
    coefficients, and M itself.
    """
    taps = TILE + 1 - results
    powers = lambda count, scale: [  # noqa: E731
        *[[a**i / s for i in range(count)] for a, s in zip(POINTS, scale, strict=True)],
        [Fraction(i == count - 1) for i in range(count)],
    ]
    others = [[a - b for b in POINTS if b != a] for a in POINTS]
    a_t = np.array(powers(results, [1] * len(POINTS)), float).T
    g = np.array(powers(taps, [math.prod(differences) for differences in others]), float)
    b_t = np.array([[*_polynomial([b for b in POINTS if b != a]), 0] for a in POINTS] + [_polynomial(POINTS)], float)
    return a_t, g, b_t


def _polynomial(roots) -> list[Fraction]:
    """Coefficients of the product of all t - root, the constant first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [s - root * c for s, c in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
    return coefficients


def kron(factors) -> np.ndarray:
    """The Kronecker product: the matrix of all axes together."""
    return functools.reduce(np.kron, factors)
