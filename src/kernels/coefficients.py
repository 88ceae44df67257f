#!/usr/bin/env python3
"""Makes the polynomial coefficients of math.h, prints them, and compares them with those that
stand there.

Each polynomial is the minimax fit of a function on an interval: of all polynomials of its degree
the one whose greatest error, weighted so as to be the relative error of the result in math.h, is
least. It is found by Remez's exchange algorithm (J.-M. Muller, "Elementary Functions", 3rd edition,
section 3.5) in 50 digits and then rounded to float32. The error that is printed is that of the fit
before rounding; half a unit in the last place of a float32 is 6e-8.

    pip install mpmath==1.3.0
    python coefficients.py
"""
import pathlib
import struct
import sys

import mpmath
from mpmath import mp, mpf

MPMATH = "1.3.0"
DIGITS = 50
EXCHANGES = 8       # the error does not change any more long before
GRID = 1500         # intervals in which the extrema of the error are looked for
SMALL = mpf(10) ** -12


def solve(function, weight, points, degree):
    """Coefficients, lowest first, of the polynomial whose weighted errors at the points are e, -e,
    e, ..."""
    n = degree + 2
    rows, right = mp.matrix(n, n), mp.matrix(n, 1)
    for i, x in enumerate(points):
        for power in range(degree + 1):
            rows[i, power] = x**power
        rows[i, degree + 1] = (-1) ** i / weight(x)
        right[i] = function(x)
    return list(mp.lu_solve(rows, right))[: degree + 1]


def extrema(errors):
    """The index of the greatest error of each stretch of one sign."""
    found, stretch = [], [0]
    for i in range(1, len(errors)):
        if mp.sign(errors[i]) != mp.sign(errors[stretch[0]]):
            found.append(max(stretch, key=lambda k: abs(errors[k])))
            stretch = []
        stretch.append(i)
    return found + [max(stretch, key=lambda k: abs(errors[k]))]


def minimax(function, weight, low, high, degree):
    """The fit on [low, high], lowest coefficient first, and its greatest weighted error."""
    n = degree + 2
    chebyshev = [mp.cos(mp.pi * (2 * i + 1) / (2 * n)) for i in range(n)]
    points = [(low + high) / 2 + (high - low) / 2 * x for x in reversed(chebyshev)]
    grid = [low + (high - low) * i / mpf(GRID) for i in range(GRID + 1)]
    for _ in range(EXCHANGES):
        fit = solve(function, weight, points, degree)
        errors = [(mp.polyval(fit[::-1], x) - function(x)) * weight(x) for x in grid]
        places = extrema(errors)
        if len(places) < n:
            raise ArithmeticError("the error has too few extrema: more digits are needed")
        while len(places) > n:  # the outer ones are the least
            places.pop(0 if abs(errors[places[0]]) < abs(errors[places[-1]]) else -1)
        points = [grid[i] for i in places]
    return fit, max(abs(error) for error in errors)


def exponential():
    """e^r = 1 + r + r^2 p(r) for |r| <= ln 2 / 2, and a little beyond, for r is rounded."""
    def function(r):
        return (mp.exp(r) - 1 - r) / r**2 if abs(r) > SMALL else mpf(1) / 2

    def weight(r):
        return r**2 / mp.exp(r) + mpf(10) ** -6  # not 0 at 0, where any p would do

    limit = mp.log(2) / 2 * mpf("1.001")
    return minimax(function, weight, -limit, limit, 5)


def tanh_near_zero():
    """tanh(x) = x + x z p(z) with z = x^2, for |x| < 0.625."""
    def function(z):
        if z < mpf(10) ** -10:
            return -mpf(1) / 3
        x = mp.sqrt(z)
        return (mp.tanh(x) / x - 1) / z

    return minimax(function, lambda z: z + mpf(10) ** -5, mpf(0), mpf("0.625") ** 2, 5)


def erf_near_zero():
    """erf(x) = x + x p(z) with z = x^2, for |x| < 0.9."""
    def function(z):
        x = mp.sqrt(z) if z > SMALL else mpf(10) ** -6
        return mp.erf(x) / x - 1

    return minimax(function, lambda z: mpf(1), mpf(0), mpf("0.9") ** 2, 6)


def erf_far():
    """erf(x) = 1 - e^-q(x) for 0.9 <= x <= 4: an error of q changes erf by erfc times as much."""
    def function(x):
        return -mp.log(mp.erfc(x))

    return minimax(function, lambda x: mp.erfc(x) / mp.erf(x), mpf("0.9"), mpf(4), 7)


def to_float32(number):
    return struct.unpack("f", struct.pack("f", float(number)))[0]


def as_written(number):
    """The shortest decimal that is this float32, as math.h writes it."""
    value = to_float32(number)
    digits = next(d for d in range(1, 10) if to_float32(f"{value:.{d}g}") == value)
    if abs(value) >= 0.1:
        return f"{abs(value):.{digits}g}f"
    return f"{abs(value):.{digits - 1}e}f".replace("e-0", "e-")


def main():
    if mpmath.__version__ != MPMATH:
        sys.exit(f"mpmath is {mpmath.__version__}; the coefficients were made with {MPMATH}")
    mp.dps = DIGITS
    header = (pathlib.Path(__file__).parent / "math.h").read_text()
    missing = []
    for fit in exponential, tanh_near_zero, erf_near_zero, erf_far:
        coefficients, error = fit()
        print(f"{fit.__doc__}\n    error {mp.nstr(error, 3)}; from the highest power down:")
        for number in reversed(coefficients):
            text = as_written(number)
            print(f"    {'-' if number < 0 else ' '}{text}")
            if f" {text};" not in header:
                missing.append(text)
    sys.exit(f"math.h does not have: {', '.join(missing)}" if missing else 0)


if __name__ == "__main__":
    main()
