#!/usr/bin/env python3
"""The jobs of hbar on PyTorch, for side-by-side rates on the same machine: `make bench` on a CPU, `make gpu-check` on a GPU.

The network of a .safetensors file of cmd/train, or 3-128-128-128-2 with SiLU and PyTorch's own initial weights.

  torch_peer.py train  --batch 512 --steps 300            Adam steps of denoising score matching, batch drawing included
  torch_peer.py sample --n 16384 --steps 20 --h 1         reverse-time Euler-Maruyama
  torch_peer.py scorediv --n 4096 --steps 20              score with exact divergence (a pass forward, D backward)

  --how eager      as everyone writes it
  --how graphed    the same captured as one CUDA graph and replayed (needs --device cuda)
  --how compiled   the step through torch.compile, and with --device cuda captured as one CUDA graph

Prints one JSON line: the job, its work, seconds (the least of --repeats runs) and rate. What this PyTorch or machine
cannot do ends with a line that says so and exit status 3.
"""
import argparse
import json
import math
import struct
import sys
import time

try:
    import torch
except ImportError as e:
    print(f"torch_peer.py: {e}")
    sys.exit(3)

WIDTH, T_MIN, T_MAX = 128, 0.01, 1.0


def mlp():
    lin, act = torch.nn.Linear, torch.nn.SiLU
    return torch.nn.Sequential(lin(3, WIDTH), act(), lin(WIDTH, WIDTH), act(), lin(WIDTH, WIDTH), act(), lin(WIDTH, 2))


def load(path):
    """The layers of a plain SiLU network (x, t) -> n of cmd/train."""
    raw = open(path, "rb").read()
    (size,) = struct.unpack("<Q", raw[:8])
    head = json.loads(raw[8 : 8 + size])
    net = json.loads(head.pop("__metadata__", {}).get("net", "{}"))
    if net.get("act", "silu") != "silu" or net.get("residual") or "time.freqs" in head:
        sys.exit(f"{path}: {net}; this script runs plain SiLU networks with the time as it is")

    def tensor(name):
        begin, end = head[name]["data_offsets"]
        return torch.frombuffer(bytearray(raw[8 + size + begin : 8 + size + end]), dtype=torch.float32).reshape(head[name]["shape"])

    modules = []
    depth = sum(name.endswith(".weight") for name in head)
    for i in range(depth):
        w = tensor(f"dense{i}.weight")
        layer = torch.nn.Linear(w.shape[1], w.shape[0])
        with torch.no_grad():
            layer.weight.copy_(w)
            layer.bias.copy_(tensor(f"dense{i}.bias").reshape(-1))
        modules += [layer] if i == depth - 1 else [layer, torch.nn.SiLU()]
    return torch.nn.Sequential(*modules)


def score(net, x, t):
    """t is a tensor of one element, so that a compiled step is not compiled anew for each time."""
    return net(torch.cat([x, t.expand(len(x), 1)], 1))


def train(o, net):
    adam = torch.optim.Adam(net.parameters(), 1e-3, **({"capturable": True} if o.captured else {}))
    dims = net[-1].out_features
    data = torch.randn(3000, dims, device=o.device)
    grid = torch.linspace(T_MIN, T_MAX, 1000, device=o.device)

    def loss():
        x = data[torch.randint(0, len(data), (o.batch,), device=o.device)]
        t = grid[torch.randint(0, 1000, (o.batch, 1), device=o.device)]
        alpha = torch.exp(-5 * t * t)
        sigma = torch.sqrt(1 - alpha * alpha)
        z = torch.randn_like(x)
        return ((net(torch.cat([alpha * x + sigma * z, t], 1)) + z / sigma) ** 2 * 20 * t).mean()

    loss = o.compile(loss)

    def step(k):
        adam.zero_grad(set_to_none=not o.captured)
        loss().backward()
        adam.step()

    return step, o.steps, o.steps, "steps/s"


def sample(o, net):
    dt = (T_MAX - T_MIN) / o.steps
    dims = net[-1].out_features
    times = T_MAX - dt * torch.arange(o.steps, device=o.device, dtype=torch.float32)
    x = torch.randn(o.n, dims, device=o.device)

    def advance(x, t):
        g2 = 20 * t
        return x - dt * (-10 * t * x - (1 + o.h) / 2 * g2 * score(net, x, t)) + torch.sqrt(o.h * g2 * dt) * torch.randn_like(x)

    advance = o.compile(advance)

    def step(k):
        with torch.inference_mode():
            if k == 0:
                x.normal_()
            x.copy_(advance(x, times[k : k + 1]))

    return step, o.steps, o.n * o.steps, "sample-steps/s"


def scorediv(o, net):
    dims = net[-1].out_features
    x = torch.randn(o.n, dims, device=o.device, requires_grad=True)
    out = torch.empty(o.n, device=o.device)
    times = torch.linspace(T_MIN, T_MAX, o.steps, device=o.device)

    def divergence(x, t):
        s = score(net, x, t)
        return sum(torch.autograd.grad(s[:, i].sum(), x, retain_graph=i < dims - 1)[0][:, i] for i in range(dims))

    if o.how == "compiled":  # torch.compile does not see through autograd.grad: forward derivatives instead
        basis = torch.eye(dims, device=o.device)

        def divergence(x, t):
            def along(e):
                return torch.func.jvp(lambda y: score(net, y, t), (x,), (e.expand_as(x),))[1]

            return sum(along(basis[i])[:, i] for i in range(dims))

        divergence = o.compile(divergence)
        x = x.detach()

    def step(k):
        out.copy_(divergence(x, times[k : k + 1]).detach())

    return step, o.steps, o.n * o.steps, "evaluations/s"


def captured(step, steps):
    """All steps as one CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step(0)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for k in range(steps):
            step(k)
    return graph.replay


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("job", choices=["train", "sample", "scorediv"])
    p.add_argument("--how", choices=["eager", "graphed", "compiled"], default="eager")
    p.add_argument("--checkpoint", help="model.safetensors of cmd/train; without, random weights")
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
    gpu = o.device != "cpu"
    o.captured = gpu and o.how != "eager"
    o.compile = lambda f: f
    if o.how == "compiled":
        if not hasattr(torch, "compile"):
            sys.exit(unable(f"PyTorch {torch.__version__} has no torch.compile"))
        o.compile = torch.compile
    if o.how == "graphed" and not gpu:
        sys.exit(unable("a CUDA graph needs --device cuda"))
    if gpu and not torch.cuda.is_available():
        sys.exit(unable(f"PyTorch {torch.__version__} sees no GPU"))
    torch.manual_seed(0)
    net = (load(o.checkpoint) if o.checkpoint else mlp()).to(o.device)
    step, steps, work, unit = {"train": train, "sample": sample, "scorediv": scorediv}[o.job](o, net)
    try:
        for k in range(min(3, steps)):  # compile, warm up
            step(k)
        run = captured(step, steps) if o.captured else lambda: [step(k) for k in range(steps)]
    except Exception as e:  # whatever a compiler, a driver or an old version throws: this peer is not to be had here
        if o.how == "eager":
            raise
        sys.exit(unable(f"{type(e).__name__}: {e}".splitlines()[0]))
    sync = torch.cuda.synchronize if gpu else lambda: None
    run()
    sync()
    best = math.inf
    for _ in range(o.repeats):
        t0 = time.perf_counter()
        run()
        sync()
        best = min(best, time.perf_counter() - t0)
    print(json.dumps({"job": o.job, "how": o.how, "work": work, "unit": unit, "seconds": best, "rate": work / best,
                      "torch": torch.__version__, "threads": torch.get_num_threads(), "device": o.device}))


def unable(why):
    print(f"torch_peer.py: {why}")
    return 3


if __name__ == "__main__":
    main()
