"""For verify_full.py: the rule from counts to weights. The probability of each arm to have the highest rate, by
numerical integration instead of simulation, with the floor mixed in. Written apart from the server's code.
Standard library only."""
from math import exp, expm1, hypot, log, log1p, sqrt

PPB = 10**9

def density(a, b, y):
    """The density of Beta(a, b) over the logit y of the rate, relative to its peak."""
    d, m = y - log(a / b), a / (a + b)
    return exp(a * d - (a + b) * (log1p(m * expm1(d)) if d < 30 else d + log(m + (1 - m) * exp(-d))))

def mesh(a, b):
    """Points that resolve Beta(a, b), from its mode to where it vanishes: close together where it bends."""
    points = []
    for direction in (-1, 1):
        y = log(a / b)
        while density(a, b, y) > 1e-12:
            points.append(y)
            e = exp(-abs(y))
            rate = (1 if y > 0 else e) / (1 + e)
            curvature, slope = sqrt((a + b) * e) / (1 + e), abs(a - (a + b) * rate)
            y += direction / 16 / max(curvature, slope / 2, 1 / hypot(y, 3))
        points.append(y)
    return points

def p_best(posteriors):
    """The integral of each density times the distribution functions of the others, by Simpson's rule on all meshes."""
    nodes = sorted({y for a, b in posteriors for y in mesh(a, b)})
    panels = list(zip(nodes, nodes[1:]))
    curves = []
    for a, b in posteriors:  # density and distribution function at the nodes and in the middle of every panel
        f, below = [density(a, b, nodes[0])], [0.0]
        for left, right in panels:
            f += [density(a, b, (left + right) / 2), density(a, b, right)]
            h, start = right - left, below[-1]
            below += [start + h / 24 * (5 * f[-3] + 8 * f[-2] - f[-1]), start + h / 6 * (f[-3] + 4 * f[-2] + f[-1])]
        curves.append(([v / below[-1] for v in f], [v / below[-1] for v in below]))
    p = []
    for i, (g, _) in enumerate(curves):
        for j, (_, below) in enumerate(curves):
            if j != i: g = [u * v for u, v in zip(g, below)]
        p.append(sum((right - left) / 6 * (g[2 * k] + 4 * g[2 * k + 1] + g[2 * k + 2])
                     for k, (left, right) in enumerate(panels)))
    return [v / sum(p) for v in p]

def top_two(p):
    """The leader is kept with chance 1/2; else the best of the others plays."""
    if len(p) == 1: return p
    w = [v / 2 for v in p]
    for i, leader in enumerate(p):
        rest = sum(v for j, v in enumerate(p) if j != i)
        for j, v in enumerate(p):
            if j != i: w[j] += leader / 2 * (v / rest if rest > 0 else 1 / (len(p) - 1))
    return w

def weights(genesis, configured, arms):
    """The weights in parts per billion, or None where the rule gives none. `arms`: (active, n, alpha, beta) of each."""
    playing, floor = [arm for arm in arms if arm[0]], genesis["floor_ppb"]
    if not playing or floor * len(playing) >= PPB: return None
    if any(not 1e-6 <= v <= 1e12 for arm in arms for v in arm[2:]): return None
    if genesis["policy"] == "fixed":
        kept = [weight * arm[0] for weight, arm in zip(configured, arms)]
        return [round(PPB * weight / sum(kept)) for weight in kept] if any(kept) else None
    if any(n < genesis["warm_up"] for _, n, _, _ in playing):
        p, floor = [1 / len(playing)] * len(playing), 0
    else:
        p = p_best([arm[2:] for arm in playing])
        if genesis["policy"] == "top_two": p = top_two(p)
    mixed = iter([round(floor + (PPB - floor * len(playing)) * v) for v in p])
    return [next(mixed) if arm[0] else 0 for arm in arms]
