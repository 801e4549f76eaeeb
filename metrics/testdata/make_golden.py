#!/usr/bin/env python3
"""Writes golden.json: what scipy says about points that the Go tests make too (points() below, exact in both)."""
import json
import numpy as np
import scipy
import scipy.linalg
import scipy.optimize
import scipy.stats
from scipy.spatial.distance import cdist


def points(seed, n):
    s, out = seed, []
    for _ in range(n):
        s = (s * 1664525 + 1013904223) % 2**32
        out.append(s / 2**32)
    return np.array(out)


def w2(n, d, scale, shift):
    x = points(1, n * d).reshape(n, d)
    y = points(2, n * d).reshape(n, d) * scale + shift
    c = cdist(x, y, "sqeuclidean")
    i, j = scipy.optimize.linear_sum_assignment(c)
    return {"n": n, "d": d, "scale": scale, "shift": shift, "w2_squared": c[i, j].mean()}


def discrepancies(n, m, d):
    x = points(3, n * d).reshape(n, d)
    y = points(4, m * d).reshape(m, d) * 0.75 + 0.25
    xx, yy, xy = cdist(x, x), cdist(y, y), cdist(x, y)
    u = lambda k, a, b, c: (k(a).sum() - k(0) * len(a)) / (len(a) * (len(a) - 1)) \
        + (k(b).sum() - k(0) * len(b)) / (len(b) * (len(b) - 1)) - 2 * k(c).mean()
    return {"n": n, "m": m, "d": d, "energy": u(lambda r: -r, xx, yy, xy),
            "bandwidth": 0.5, "mmd": u(lambda r: np.exp(-r * r / (2 * 0.5**2)), xx, yy, xy)}


def features(n, m, d, dead):
    """Fréchet distance by sqrtm of the product, as public FID code has it, and the unbiased estimate of KID."""
    x = points(7, n * d).reshape(n, d) ** 2
    y = points(8, m * d).reshape(m, d) * 0.75 + 0.25
    x[:, :dead] = y[:, :dead] = 0
    mx, my, sx, sy = x.mean(0), y.mean(0), np.cov(x.T).reshape(d, d), np.cov(y.T).reshape(d, d)
    root = scipy.linalg.sqrtm(sx @ sy)
    k = lambda a, b: (a @ b.T / d + 1) ** 3
    off = lambda a: (k(a, a).sum() - np.trace(k(a, a))) / (len(a) * (len(a) - 1))
    return {"n": n, "m": m, "d": d, "dead": dead, "frechet": ((mx - my) ** 2).sum() + np.trace(sx + sy - 2 * root.real),
            "kernel": off(x) + off(y) - 2 * k(x, y).mean()}


a, b = points(5, 40), points(6, 40)
a = a + 0.5 * b + 0.1
ties = np.round(8 * (a - b)) / 8
out = {
    "made_with": f"make_golden.py, numpy {np.__version__}, scipy {scipy.__version__}",
    "w2": [w2(500, 2, 1.0, 0.0), w2(500, 2, 0.5, 0.25), w2(300, 1, 2.0, -1.0), w2(200, 3, 1.0, 0.5), w2(150, 16, 1.5, 0.0)],
    "discrepancy": [discrepancies(60, 80, 2), discrepancies(50, 50, 1)],
    "features": [features(200, 160, 1, 0), features(120, 150, 3, 0), features(400, 300, 20, 0), features(400, 300, 20, 2)],
    "t_p": scipy.stats.ttest_rel(a, b).pvalue,
    "wilcoxon_p": scipy.stats.wilcoxon(a, b, correction=True, mode="approx").pvalue,
    "wilcoxon_ties_p": scipy.stats.wilcoxon(ties, correction=True, mode="approx", zero_method="wilcox").pvalue,
}
json.dump(out, open(__file__.replace("make_golden.py", "golden.json"), "w"), indent=1)
