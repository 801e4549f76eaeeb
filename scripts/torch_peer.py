#!/usr/bin/env python3
"""The jobs of `make bench` on PyTorch, for side-by-side rates on the same machine.

A network 3-128-128-128-2 with SiLU and PyTorch's own initial weights; CPU or, with --device cuda, a GPU.

  torch_peer.py train  --batch 512 --steps 300            Adam steps of denoising score matching, batch drawing included
  torch_peer.py sample --n 16384 --steps 20 --h 1         reverse-time Euler-Maruyama
  torch_peer.py scorediv --n 4096 --steps 20              score with exact divergence (two autograd passes)

Prints one JSON line: the job, its work, seconds (the least of --repeats runs) and rate.
"""
import argparse
import json
import math
import time

import torch

WIDTH, T_MIN, T_MAX = 128, 0.01, 1.0


def mlp():
    lin, act = torch.nn.Linear, torch.nn.SiLU
    return torch.nn.Sequential(lin(3, WIDTH), act(), lin(WIDTH, WIDTH), act(), lin(WIDTH, WIDTH), act(), lin(WIDTH, 2))


def score(net, x, t):
    return net(torch.cat([x, torch.full_like(x[:, :1], t)], 1))


def train(o):
    net = mlp().to(o.device)
    adam = torch.optim.Adam(net.parameters(), 1e-3)
    data = torch.randn(3000, 2, device=o.device)
    grid = torch.linspace(T_MIN, T_MAX, 1000, device=o.device)

    def step():
        x = data[torch.randint(0, len(data), (o.batch,), device=o.device)]
        t = grid[torch.randint(0, 1000, (o.batch, 1), device=o.device)]
        alpha = torch.exp(-5 * t * t)
        sigma = torch.sqrt(1 - alpha * alpha)
        z = torch.randn_like(x)
        loss = ((net(torch.cat([alpha * x + sigma * z, t], 1)) + z / sigma) ** 2 * 20 * t).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()

    def job():
        for _ in range(o.steps):
            step()

    return job, o.steps, "steps/s"


def sample(o):
    net = mlp().to(o.device)
    dt = (T_MAX - T_MIN) / o.steps

    def job():
        with torch.inference_mode():
            x = torch.randn(o.n, 2, device=o.device)
            for k in range(o.steps):
                t = T_MAX - k * dt
                g2 = 20 * t
                x = x - dt * (-10 * t * x - (1 + o.h) / 2 * g2 * score(net, x, t)) + math.sqrt(o.h * g2 * dt) * torch.randn_like(x)

    return job, o.n * o.steps, "sample-steps/s"


def scorediv(o):
    net = mlp().to(o.device)
    x = torch.randn(o.n, 2, device=o.device)

    def job():
        for k in range(o.steps):
            y = x.clone().requires_grad_(True)
            s = score(net, y, T_MIN + (T_MAX - T_MIN) * k / o.steps)
            sum(torch.autograd.grad(s[:, i].sum(), y, retain_graph=i == 0)[0][:, i] for i in range(2))

    return job, o.n * o.steps, "evaluations/s"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("job", choices=["train", "sample", "scorediv"])
    p.add_argument("--n", type=int, default=16384, help="samples")
    p.add_argument("--steps", type=int, default=20, help="steps, or evaluations for scorediv")
    p.add_argument("--batch", type=int, default=512, help="rows of a training batch")
    p.add_argument("--h", type=float, default=1.0, help="noise dial of the sampler")
    p.add_argument("--threads", type=int, default=0, help="PyTorch threads; 0 leaves its default")
    p.add_argument("--repeats", type=int, default=3, help="runs; the fastest counts")
    p.add_argument("--device", default="cpu", help="cpu or cuda")
    o = p.parse_args()
    if o.threads:
        torch.set_num_threads(o.threads)
    torch.manual_seed(0)
    job, work, unit = {"train": train, "sample": sample, "scorediv": scorediv}[o.job](o)
    job()  # warm up
    best = math.inf
    for _ in range(o.repeats):
        t0 = time.perf_counter()
        job()
        if o.device != "cpu":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - t0)
    print(json.dumps({"job": o.job, "work": work, "unit": unit, "seconds": best, "rate": work / best,
                      "torch": torch.__version__, "threads": torch.get_num_threads(), "device": o.device}))


if __name__ == "__main__":
    main()
