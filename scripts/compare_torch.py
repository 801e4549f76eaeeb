#!/usr/bin/env python3
"""Our checkpoints and samples beside PyTorch's: the same network, the same loop, the same distribution?

Needs numpy and PyTorch (Debian: python3-torch, run with /usr/bin/python3) and Go. From the repository's root:

  scripts/compare_torch.py runs/swissroll-simple/model.safetensors
  scripts/compare_torch.py mlp.safetensors --schedule cosine --n 10000 --steps 1000 --json

The checkpoint is read with plain Python (struct and json; numpy for the arrays), the samples with numpy.load. Checks:

  forward       the network: one Euler step at h = 0 of cmd/sample, solved for the score, against PyTorch's forward pass
                at the same states and times; the error relative to the largest score of each time
  reference     h = 0, same seed: fused float32 samples against the float64 loop of cmd/sample --reference
  distribution  h = 1 samples of cmd/sample against PyTorch's own Euler-Maruyama loop: energy distance, with the p-value of
                a permutation test; and Kolmogorov-Smirnov p-values of each coordinate
  control       the same test on h = 1 against h = 0: on an imperfect network these differ, and a test that cannot see it
                says little

Exit status 1 if forward is above 1e-5, reference above 1e-3, or the energy test's p-value below 0.005
or a coordinate's below 0.001 (divided by their number).
"""
import argparse
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch


def safetensors(path):
    """Tensors and metadata of a .safetensors file."""
    raw = open(path, "rb").read()
    (size,) = struct.unpack("<Q", raw[:8])
    head = json.loads(raw[8 : 8 + size])
    meta = head.pop("__metadata__", {})
    tensors = {}
    for name, t in head.items():
        assert t["dtype"] == "F32", f"{name} is {t['dtype']}"
        begin, end = t["data_offsets"]
        tensors[name] = np.frombuffer(raw[8 + size + begin : 8 + size + end], "<f4").reshape(t["shape"])
    return tensors, meta


class Schedule:
    """dx = a x dt + g dw, p(x_t|x_0) = N(alpha x_0, sigma^2)."""

    DEFAULTS = {
        "simple": {"beta": 20, "tmin": 0.01, "tmax": 1},
        "cosine": {"tmin": 0.01, "tmax": 1 - 1e-3},
        "vp": {"beta_min": 0.1, "beta_max": 20, "tmin": 1e-3, "tmax": 1},
        "subvp": {"beta_min": 0.1, "beta_max": 20, "tmin": 1e-3, "tmax": 1},
        "ve": {"sigma_min": 0.01, "sigma_max": 50, "tmin": 1e-5, "tmax": 1},
        "edm": {"tmin": 0.002, "tmax": 80},
    }

    def __init__(self, name, params):
        self.name = name
        self.p = dict(self.DEFAULTS[name], **params)
        self.tmin, self.tmax = self.p["tmin"], self.p["tmax"]

    def at(self, t):
        """a, g^2, alpha, sigma at time t."""
        p = self.p
        if self.name == "simple":
            b = p["beta"] * t * t / 2
            return -p["beta"] * t / 2, p["beta"] * t, math.exp(-b / 2), math.sqrt(-math.expm1(-b))
        if self.name == "cosine":
            u = math.pi / 2 * t
            return -math.pi / 2 * math.tan(u), math.pi * math.tan(u), math.cos(u), math.sin(u)
        if self.name in ("vp", "subvp"):
            beta = p["beta_min"] + t * (p["beta_max"] - p["beta_min"])
            b = t * (p["beta_min"] + t * (p["beta_max"] - p["beta_min"]) / 2)
            if self.name == "vp":
                return -beta / 2, beta, math.exp(-b / 2), math.sqrt(-math.expm1(-b))
            return -beta / 2, -beta * math.expm1(-2 * b), math.exp(-b / 2), -math.expm1(-b)
        if self.name == "ve":
            rate = math.log(p["sigma_max"] / p["sigma_min"])
            sigma = p["sigma_min"] * math.exp(t * rate)
            return 0.0, 2 * rate * sigma * sigma, 1.0, sigma
        return 0.0, 2 * t, 1.0, t

    def prior(self):
        return self.at(self.tmax)[3] if self.name in ("ve", "edm") else 1.0


class Score(torch.nn.Module):
    """The score of a checkpoint: s = P x + Q net(cin x, tau)."""

    def __init__(self, tensors, meta, schedule):
        super().__init__()
        net = json.loads(meta.get("net", "{}"))
        self.schedule = schedule
        self.act = {"silu": torch.nn.SiLU(), "gelu": torch.nn.GELU(), "tanh": torch.nn.Tanh()}[net.get("act", "silu")]
        self.residual = net.get("residual", False)
        self.prediction = meta.get("prediction", "score")
        self.sigma_data = float(meta.get("sigma_data", 0)) or 0.5
        depth = sum(name.endswith(".weight") for name in tensors)
        self.layers = torch.nn.ModuleList()
        for i in range(depth):
            w, b = tensors[f"dense{i}.weight"], tensors[f"dense{i}.bias"]
            layer = torch.nn.Linear(w.shape[1], w.shape[0])
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(w.copy()))
                layer.bias.copy_(torch.from_numpy(b.copy()))
            self.layers.append(layer)
        self.dim = self.layers[-1].out_features
        freqs = tensors.get("time.freqs")
        self.freqs = None if freqs is None else torch.from_numpy(freqs.reshape(-1).copy())

    def net(self, x, tau):
        if self.freqs is None:
            feature = torch.full((len(x), 1), tau)
        else:
            u = 2 * math.pi * (self.freqs.double() * tau)
            feature = torch.cat([torch.sin(u), torch.cos(u)]).float().expand(len(x), -1)
        h = torch.cat([x, feature], 1)
        for i, layer in enumerate(self.layers[:-1]):
            y = self.act(layer(h))
            h = h + y if self.residual and i > 0 else y
        return self.layers[-1](h)

    def forward(self, x, t):
        _, _, alpha, sigma = self.schedule.at(t)
        cin, p, q, tau = 1.0, 0.0, 1.0, t
        if self.prediction == "eps":
            q = -1 / sigma
        elif self.prediction == "x0":
            p, q = -1 / sigma**2, alpha / sigma**2
        elif self.prediction == "v":
            r = alpha**2 + sigma**2
            p, q = -1 / r, -alpha / (sigma * r)
        elif self.prediction == "edm":
            r = math.hypot(sigma, alpha * self.sigma_data)
            cin, tau = 1 / r, math.log(sigma / alpha) / 4
            p, q = -1 / r**2, self.sigma_data * alpha / (sigma * r)
        return p * x + q * self.net(cin * x, tau)


def ours(o, folder, name, *flags):
    """Run cmd/sample; returns the samples in the network's units and where the files are."""
    out = os.path.join(folder, name + ".npy")
    command = o.sample.split() + ["--checkpoint", o.checkpoint, "--out", out, *map(str, flags)]
    if o.schedule:
        command += ["--schedule", o.schedule]
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return out, time.perf_counter() - begin


def load(path, norm):
    x = np.load(path, allow_pickle=False).astype(np.float64)
    return (x - np.asarray(norm.get("mean") or [0.0])) / np.asarray(norm.get("scale") or [1.0])


def forward_error(o, score, schedule, norm, folder):
    """Largest error of our score, relative to the largest score of its time, and at how many times it was measured.

    The step x' = A x + B s is solved for s, which multiplies the float32 roundings of A x and x' by 1/B. Times at which
    these alone pass 3e-6 (the last ones of ve, where sigma is small) are left out.
    """
    steps = 12
    times = schedule.tmax - np.arange(steps + 1) / steps * (schedule.tmax - schedule.tmin)
    times[-1] = schedule.tmin
    out, _ = ours(o, folder, "forward", "--h", 0, "--n", 500, "--steps", steps, "--trajectory", ",".join(f"{t:.17g}" for t in times))
    states = load(out.replace(".npy", "-trajectory.npy"), norm)
    at = np.load(out.replace(".npy", "-times.npy"))
    assert np.allclose(at, times, rtol=1e-12), "cmd/sample recorded other times"
    worst, measured = 0.0, 0
    for k in range(steps):
        a, g2, _, _ = schedule.at(times[k])
        dt = times[k] - times[k + 1]
        ax, b = (1 - a * dt) * states[:, k], g2 / 2 * dt
        got = (states[:, k + 1] - ax) / b
        with torch.inference_mode():
            want = score(torch.from_numpy(states[:, k].astype(np.float32)), times[k]).double().numpy()
        rounding = 2.0**-24 * (2 * np.abs(ax) + np.abs(states[:, k + 1])).max() / b
        if rounding < 3e-6 * np.abs(want).max():
            worst, measured = max(worst, np.abs(got - want).max() / np.abs(want).max()), measured + 1
    return worst, measured


def torch_samples(o, score, schedule):
    """The loop everyone writes: Euler-Maruyama from Tmax to Tmin, uniform in t, h = 1."""
    torch.manual_seed(o.seed + 1)
    dt = (schedule.tmax - schedule.tmin) / o.steps
    begin = time.perf_counter()
    with torch.inference_mode():
        x = schedule.prior() * torch.randn(o.n, score.dim)
        for k in range(o.steps):
            t = schedule.tmax - k * dt
            a, g2, _, _ = schedule.at(t)
            x = x - dt * (a * x - g2 * score(x, t)) + math.sqrt(g2 * dt) * torch.randn_like(x)
    return x.double().numpy(), time.perf_counter() - begin


def energy_test(x, y, permutations, rng):
    """Energy distance (squared, V-statistic) of two samples, and the p-value of a permutation test.

    With u = 1/n on x, -1/m on y and distances D it is -u'Du; a permutation shuffles u. D is made in blocks.
    """
    z = torch.from_numpy(np.concatenate([x, y]).astype(np.float32))
    u = np.concatenate([np.full(len(x), 1 / len(x)), np.full(len(y), -1 / len(y))])
    us = torch.from_numpy(np.stack([u] + [rng.permutation(u) for _ in range(permutations)], 1).astype(np.float32))
    total = torch.zeros(permutations + 1, dtype=torch.float64)
    for i in range(0, len(z), 1000):
        d = torch.cdist(z[i : i + 1000], z, compute_mode="donot_use_mm_for_euclid_dist")
        total -= (us[i : i + 1000].double() * (d @ us).double()).sum(0)
    value, shuffled = total[0].item(), total[1:]
    return value, (1 + int((shuffled >= value).sum())) / (1 + permutations)


def ks_p(x, y):
    """The asymptotic p-value of the two-sample Kolmogorov-Smirnov test."""
    z = np.concatenate([x, y])
    order = np.argsort(z, kind="stable")
    steps = np.where(order < len(x), 1 / len(x), -1 / len(y))
    lam = np.abs(np.cumsum(steps)).max() * math.sqrt(len(x) * len(y) / len(z))
    if lam < 0.3:
        return 1.0
    return min(1.0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * lam * lam) for k in range(1, 101)))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoint")
    p.add_argument("--schedule", default="", help="for checkpoints whose metadata has no sde")
    p.add_argument("--n", type=int, default=10000, help="samples of each side (default 10000)")
    p.add_argument("--steps", type=int, default=1000, help="Euler-Maruyama steps (default 1000)")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--permutations", type=int, default=999)
    p.add_argument("--sample", default="go run ./cmd/sample", help="the command (default: go run ./cmd/sample)")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    o = p.parse_args()
    tensors, meta = safetensors(o.checkpoint)
    schedule = Schedule(o.schedule or meta["sde"], {} if o.schedule else json.loads(meta.get("schedule_params", "{}")))
    score = Score(tensors, meta, schedule)
    norm = json.loads(meta.get("normalisation", "{}"))
    rng = np.random.default_rng(o.seed)
    r = {"checkpoint": o.checkpoint, "schedule": schedule.name, "n": o.n, "steps": o.steps, "torch": torch.__version__}
    with tempfile.TemporaryDirectory() as folder:
        r["forward_relative_error"], r["forward_times"] = forward_error(o, score, schedule, norm, folder)
        h0 = ["--h", 0, "--n", min(o.n, 1000), "--steps", o.steps, "--seed", o.seed]
        fused, _ = ours(o, folder, "fused", *h0)
        reference, _ = ours(o, folder, "reference", *h0, "--reference")
        r["reference_max_difference"] = float(np.abs(load(fused, norm) - load(reference, norm)).max())
        path, seconds = ours(o, folder, "sde", "--h", 1, "--n", o.n, "--steps", o.steps, "--seed", o.seed)
        x = load(path, norm)
        y, torch_seconds = torch_samples(o, score, schedule)
        r["seconds"], r["torch_seconds"] = round(seconds, 2), round(torch_seconds, 2)
        r["energy_distance"], r["energy_p"] = energy_test(x, y, o.permutations, rng)
        r["ks_p"] = [ks_p(x[:, j], y[:, j]) for j in range(min(score.dim, 8))]
        path, _ = ours(o, folder, "ode", "--h", 0, "--n", o.n, "--steps", o.steps, "--seed", o.seed + 1)
        r["control_energy_distance"], r["control_energy_p"] = energy_test(load(path, norm), y, o.permutations, rng)
    # the Bonferroni division keeps the chance of a false alarm over all coordinates at 0.001
    r["ok"] = bool(r["forward_relative_error"] <= 1e-5 and r["forward_times"] >= 3 and r["reference_max_difference"] <= 1e-3
                   and r["energy_p"] >= 0.005 and min(r["ks_p"]) > 0.001 / len(r["ks_p"]))
    if o.json:
        print(json.dumps(r))
    else:
        for key, value in r.items():
            print(f"{key:26} {value}")
    sys.exit(0 if r["ok"] else 1)


if __name__ == "__main__":
    main()
