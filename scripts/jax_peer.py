#!/usr/bin/env python3
"""The jobs of hbar on JAX, for `make gpu-check`: two-dimensional plain SiLU networks (x, t) -> score on the simple schedule.

  jax_peer.py sample --n 16384 --steps 1000 --how loop    reverse-time Euler-Maruyama, a Python loop over a jitted step
  jax_peer.py sample --how fused                          the same as one jitted lax.fori_loop
  jax_peer.py flow --points OURS.csv --truth TRUTH.csv    log q0 by odeint, exact divergence, at the points that hbar's `likelihood`
                                                          wrote with its values; TRUTH.csv has accurate values of the first of
                                                          them. The fastest run counts whose error is at most three times the tolerance
                                                          of 1e-5 that hbar's values have, or twice hbar's error if that is more
  jax_peer.py wkb --n 4                                   the first-order term as arXiv:2403.11262 computes it: a shifted
                                                          path (tolerance 1e-3) whose right-hand side takes gradient and
                                                          Laplacian of log q0 from five nested solves (1e-5) a point

The network is that of --checkpoint (a .safetensors file of cmd/train) or has random weights. Prints one JSON line: the
job, its work, seconds (the least of --repeats runs, compilation apart) and rate. Without JAX a line says so, exit status 3.
"""
import argparse
import json
import math
import struct
import sys
import time

try:
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.experimental.ode import odeint
except ImportError as e:
    print(f"jax_peer.py: {e}")
    sys.exit(3)

T_MIN, T_MAX, DX = 0.01, 1.0, 0.01


def load(path):
    """Weights (in x out) and biases of a network of cmd/train."""
    raw = open(path, "rb").read()
    (size,) = struct.unpack("<Q", raw[:8])
    head = json.loads(raw[8 : 8 + size])
    net = json.loads(head.pop("__metadata__", {}).get("net", "{}"))
    if net.get("act", "silu") != "silu" or net.get("residual") or "time.freqs" in head:
        sys.exit(f"{path}: {net}; this script runs plain SiLU networks with the time as it is")

    def tensor(name):
        begin, end = head[name]["data_offsets"]
        return np.frombuffer(raw[8 + size + begin : 8 + size + end], "<f4").reshape(head[name]["shape"])

    depth = sum(name.endswith(".weight") for name in head)
    return [(jnp.asarray(tensor(f"dense{i}.weight").T), jnp.asarray(tensor(f"dense{i}.bias").reshape(-1))) for i in range(depth)]


def random_net():
    r = np.random.default_rng(0)
    sizes = [3, 128, 128, 128, 2]
    return [(jnp.asarray(r.uniform(-1, 1, (a, b)) / math.sqrt(a), jnp.float32), jnp.zeros(b, jnp.float32)) for a, b in zip(sizes, sizes[1:])]


def score(net, x, t):
    h = jnp.concatenate([x, jnp.full((x.shape[0], 1), t, x.dtype)], 1)
    for i, (w, b) in enumerate(net):
        h = h @ w + b
        if i < len(net) - 1:
            h = jax.nn.silu(h)
    return h


def drift(net, x, t):
    """F = a x - g^2 s / 2 of the probability flow on the simple schedule: a = -10 t, g^2 = 20 t."""
    return -10 * t * x - 10 * t * score(net, x, t)


def divergence(net, x, t):
    total = 0.0
    for i in range(x.shape[1]):
        e = jnp.zeros_like(x).at[:, i].set(1.0)
        total = total + jax.jvp(lambda y: drift(net, y, t), (x,), (e,))[1][:, i]
    return total


def sample(o, net):
    dt = (T_MAX - T_MIN) / o.steps

    def advance(k, x, key):
        t = T_MAX - k * dt
        g2 = 20 * t
        z = jax.random.normal(jax.random.fold_in(key, k), x.shape)
        return x - dt * (-10 * t * x - (1 + o.h) / 2 * g2 * score(net, x, t)) + jnp.sqrt(o.h * g2 * dt) * z

    key = jax.random.PRNGKey(0)
    x0 = jax.random.normal(key, (o.n, 2))
    if o.how == "fused":
        whole = jax.jit(lambda x: jax.lax.fori_loop(0, o.steps, lambda k, x: advance(k, x, key), x))
        return lambda: whole(x0).block_until_ready(), o.n * o.steps, "sample-steps/s"
    step = jax.jit(advance)

    def loop():
        x = x0
        for k in range(o.steps):
            x = step(k, x, key)
        x.block_until_ready()

    return loop, o.n * o.steps, "sample-steps/s"


def log_prior(x):
    return -0.5 * jnp.sum(x * x, 1) - x.shape[1] / 2 * math.log(2 * math.pi)


def log_q(net, x, t, tol=1e-5):
    """log q0_t(x) by the flow from t to Tmax."""

    def rhs(y, u, net):
        return drift(net, y[0], u), divergence(net, y[0], u)

    begin = jnp.minimum(t, T_MAX - 1e-3)  # odeint's steps, hence wkb's stages, pass the end
    y = odeint(rhs, (x, jnp.zeros(x.shape[0])), jnp.stack([begin, jnp.asarray(T_MAX)]), net, rtol=tol, atol=tol)
    return log_prior(y[0][-1]) + y[1][-1]


def table(path):
    """The columns of a table of cmd/likelihood: points and log q0."""
    with open(path) as f:
        names = f.readline().strip().split(",")
        rows = [line.strip().split(",") for line in f if line.strip()]
    column = lambda name: np.array([float(r[names.index(name)] or "nan") for r in rows])
    return np.stack([column("x[0]"), column("x[1]")], 1), column("log_q0")


def flow(o, net):
    """The same points as hbar's and the same result. Where the points share their steps, as a batch does in odeint, the tolerance is
    of the mean over the batch; vmap gives each point steps of its own, as hbar's points have in effect."""
    x, ours = table(o.points)
    few, truth = table(o.truth)
    m = len(few)
    if not np.array_equal(few, x[:m]):
        sys.exit(f"{o.truth}: other points than the first {m} of {o.points}")

    def rms(q):
        return float(np.sqrt(np.nanmean((q[:m] - truth) ** 2)))

    def one(tol):
        return lambda p: log_q(net, p[None], jnp.asarray(T_MIN), tol)[0]

    enough = max(2 * rms(ours), 3e-5)
    all_runs = []
    for tol in (1e-5, 1e-6):
        for how, f in (("joint steps", lambda p, tol=tol: log_q(net, p, jnp.asarray(T_MIN), tol)), ("own steps", jax.vmap(one(tol)))):
            f = jax.jit(f)
            run = lambda f=f: np.asarray(f(jnp.asarray(x, jnp.float32)))  # points and values are the host's, as hbar's are
            error, seconds = rms(run()), math.inf
            for _ in range(o.repeats):
                begin = time.perf_counter()
                run()
                seconds = min(seconds, time.perf_counter() - begin)
            all_runs.append((error > enough, seconds if error <= enough else error, how, tol, seconds, error))
        if not min(all_runs)[0]:
            break  # a smaller tolerance would be slower
    worse, _, how, tol, seconds, error = min(all_runs)
    how = f"{how}, tolerance {tol:g}" + (", not accurate enough" if worse else "")
    return {"how": how, "work": len(x), "unit": "points/s", "seconds": seconds, "rate": len(x) / seconds, "error": error, "enough": enough, "our_error": rms(ours)}


def wkb(o, net):
    def rhs(y, t, net):
        x, dx, _ = y
        n, d = x.shape
        offsets = [jnp.zeros(d)] + [s * DX * jnp.eye(d)[i] for i in range(d) for s in (1.0, -1.0)]
        q = log_q(net, jnp.concatenate([x + e for e in offsets]), t).reshape(2 * d + 1, n)
        grad = jnp.stack([(q[1 + 2 * i] - q[2 + 2 * i]) / (2 * DX) for i in range(d)], 1)
        laplacian = sum(q[1 + 2 * i] + q[2 + 2 * i] - 2 * q[0] for i in range(d)) / DX**2
        g2 = 20 * t
        s = score(net, x, t)
        f, jdx = jax.jvp(lambda y: drift(net, y, t), (x,), (dx,))
        div, ddiv = jax.jvp(lambda y: divergence(net, y, t), (x,), (dx,))
        div_s = (div + 10 * t * d) / (-10 * t)  # div F = a D - g^2 div s / 2
        return f, jdx - 0.5 * g2 * (s - grad), ddiv - 0.5 * g2 * (div_s - laplacian)

    @jax.jit
    def whole(x):
        y = odeint(rhs, (x, jnp.zeros_like(x), jnp.zeros(x.shape[0])), jnp.asarray([T_MIN, T_MAX]), net, rtol=1e-3, atol=1e-3)
        return y[2][-1] - jnp.sum(y[1][-1] * y[0][-1], 1)

    x = jax.random.normal(jax.random.PRNGKey(1), (o.n, 2)) * 0.5
    return lambda: whole(x).block_until_ready(), o.n, "points/s"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("job", choices=["sample", "flow", "wkb"])
    p.add_argument("--how", choices=["loop", "fused"], default="loop", help="of sample")
    p.add_argument("--checkpoint", help="model.safetensors of cmd/train; without, random weights")
    p.add_argument("--n", type=int, default=1024, help="samples or points")
    p.add_argument("--steps", type=int, default=1000, help="of sample")
    p.add_argument("--h", type=float, default=1.0, help="noise dial of the sampler")
    p.add_argument("--points", help="of flow: a table of points with hbar's values")
    p.add_argument("--truth", help="of flow: accurate values of the first of these points")
    p.add_argument("--repeats", type=int, default=3, help="runs; the fastest counts")
    o = p.parse_args()
    net = load(o.checkpoint) if o.checkpoint else random_net()
    if o.job == "flow":
        if not (o.points and o.truth):
            p.error("flow needs --points and --truth")
        print(json.dumps({"job": "flow", **flow(o, net), "jax": jax.__version__, "device": jax.devices()[0].platform}))
        return
    run, work, unit = {"sample": sample, "wkb": wkb}[o.job](o, net)
    run()  # compile, warm up
    best = math.inf
    for _ in range(o.repeats):
        t0 = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - t0)
    print(json.dumps({"job": o.job, "how": o.how if o.job == "sample" else "odeint", "work": work, "unit": unit, "seconds": best, "rate": work / best,
                      "jax": jax.__version__, "device": jax.devices()[0].platform}))


if __name__ == "__main__":
    main()
