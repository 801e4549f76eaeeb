#!/usr/bin/env python3
"""How fast PyTorch runs U-Nets and diffusion transformers on a CPU: scripts/bench runs it beside hbar, on the same networks.

  torch_nets_peer.py --config "$(cat config.json)" --job forward --batch 8

  --job forward   the network
  --job vjp       the network and e^T J, with the weights frozen
  --job train     forward, backward and a step of Adam

First it tries the settings (threads, memory layout, oneDNN on and off, for the forward pass also a frozen graph) and prints
one JSON line: the version of PyTorch, the best setting, the number of parameters and the multiply-adds of the job. Then for each number k on standard input it does the job k times, for k > 1 after one more that
does not count, and prints {"seconds": of one}. At the
end of the input it prints {"memory": the process's peak in bytes, without that of the trials, or null}. Without PyTorch it
prints a line that says so and exits with status 3.
"""
import argparse
import copy
import ctypes
import itertools
import json
import math
import os
import sys
import time

try:
    import torch
    from torch import nn
    from torch_nets import AttentionCore, UNet2D, build
except ImportError as e:
    print(f"torch_nets_peer.py: {e}")
    sys.exit(3)


PROBES = 4  # as scripts/bench/nets.go has it


def multiply_adds(net, io):
    """Multiply-adds of a forward pass of one sample, in convolutions, linear layers and attention products, and of the first
    layer's: training does not need the gradient of its input."""
    counts = {}

    def hook(m, args, out):
        if isinstance(m, AttentionCore):
            n, h, t, d = args[0].shape
            k = 2 * n * h * t * t * d
        else:
            k = out.numel() * m.weight[0].numel()
        counts[m] = counts.get(m, 0) + k

    kinds = (nn.Conv2d, nn.Linear, AttentionCore)
    hooks = [m.register_forward_hook(hook) for m in net.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        net(*(a[:1] for a in io[:3]))
    for h in hooks:
        h.remove()
    first = net.conv_in if isinstance(net, UNet2D) else net.x_embedder.proj
    return sum(counts.values()), counts[first]


def batch(net, n):
    """Samples, times, labels, targets of training and directions e of the VJP."""
    shape = [n] + net.shape
    return [torch.randn(shape), torch.rand(n) * 999, torch.randint(0, 10, (n,)), torch.randn(shape), torch.randint(0, 2, shape) * 2.0 - 1]


def make_step(job, net, call, io):
    """A function that does the job once, on fixed tensors. net owns the weights, call is it or its frozen form."""
    x, t, y, z, e = io
    for p in net.parameters():
        p.requires_grad_(job == "train")
    if job == "forward":
        def step():
            with torch.no_grad():
                return call(x, t, y)
        return step
    if job == "train":
        adam = torch.optim.Adam(net.parameters(), 1e-4)

        def step():
            adam.zero_grad(set_to_none=True)
            ((call(x, t, y) - z) ** 2).mean().backward()
            adam.step()
        return step
    xg = x.detach().clone(memory_format=torch.preserve_format).requires_grad_(True)

    def step():
        out = call(xg, t, y)
        if job == "probes":  # the flow's likelihood: one pass, a gradient for each probe
            return [torch.autograd.grad(out, xg, e, retain_graph=j + 1 < PROBES) for j in range(PROBES)]
        return torch.autograd.grad(out, xg, e)
    return step


def use_threads(n):
    """torch.set_num_threads does not reach an OpenBLAS with threads of its own (Debian's openblas-pthread)."""
    torch.set_num_threads(n)
    for name in ("libopenblas.so.0", "libblas.so.3"):
        try:
            ctypes.CDLL(name).openblas_set_num_threads(n)
        except (OSError, AttributeError):
            pass


class Setting:
    def __init__(self, threads, onednn, channels_last=False, frozen=False):
        self.threads, self.onednn, self.channels_last, self.frozen = threads, onednn, channels_last, frozen

    def __str__(self):
        parts = [f"{self.threads} thread" + "s" * (self.threads > 1)]
        parts += ["channels last"] * self.channels_last + ["oneDNN off"] * (not self.onednn) + ["frozen"] * self.frozen
        return ", ".join(parts)

    def step(self, job, net, io):
        """The job in this setting, which changes the network. It stays as long as no other is made."""
        use_threads(self.threads)
        torch._C._set_mkldnn_enabled(self.onednn)
        call = net
        if self.channels_last:
            net = call = net.to(memory_format=torch.channels_last)
            io = [a.contiguous(memory_format=torch.channels_last) if a.dim() == 4 else a for a in io]
        if self.frozen:
            net.eval()
            with torch.no_grad():
                call = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, tuple(io[:3]))))
                for _ in range(2):
                    call(*io[:3])  # its first runs compile it
        return make_step(job, net, call, io)


def settings(job, convolutions, threads):
    layouts = [False, True] if convolutions else [False]
    out = [Setting(t, m, l) for m, l, t in itertools.product([True, False], layouts, threads)]
    return out + [Setting(t, True, frozen=True) for t in threads] if job == "forward" else out


def clock(step, times):
    start = time.perf_counter()
    for _ in range(times):
        step()
    return (time.perf_counter() - start) / times


def rank(o, net, some, n):
    """The settings of some with their seconds for a batch of n, the best first. A setting whose first run takes half
    as long again as the best of the others is not run again."""
    io, scored, best = batch(net, n), [], math.inf
    for s in some:
        try:
            step = s.step(o.job, copy.deepcopy(net), io)
            seconds = clock(step, 1)
            if seconds < 1.5 * best:
                seconds = clock(step, 1)
        except Exception as e:  # a setting that this PyTorch does not have
            print(f"torch_nets_peer.py: {s}: {type(e).__name__}: {str(e).splitlines()[0][:100]}", file=sys.stderr)
            continue
        best = min(best, seconds)
        scored.append((seconds, str(s), s))
    if not scored:
        sys.exit("torch_nets_peer.py: no setting works")
    return sorted(scored, key=lambda a: a[0])


def status(name):
    """A field of /proc/self/status in bytes, None where there is none."""
    try:
        return next(1024 * int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name + ":"))
    except (OSError, StopIteration):
        return None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--config", required=True)
    p.add_argument("--job", choices=["forward", "vjp", "train", "probes"], required=True)
    p.add_argument("--batch", type=int, required=True)
    p.add_argument("--threads", default="2,1", help="numbers of threads to try")
    p.add_argument("--setting", help="the one setting; none are tried")
    o = p.parse_args()
    torch.manual_seed(1)
    torch.set_flush_denormal(True)
    net = build(json.loads(o.config))
    count, first = multiply_adds(net, batch(net, 1))
    count = {"forward": count, "vjp": 2 * count, "probes": (1 + PROBES) * count, "train": 3 * count - first}[o.job] * o.batch

    some = settings(o.job, isinstance(net, UNet2D), [int(t) for t in o.threads.split(",")])
    if o.setting is None:
        # All settings on a quarter of the batch, then the best two on all of it. A new process has the best one's memory only.
        scored = rank(o, net, some, max(1, o.batch // 4))
        _, name, _ = rank(o, net, [s for _, _, s in scored[:2]], o.batch)[0]
        os.execv(sys.executable, [sys.executable, *sys.argv, "--setting", name])
    named = {str(s): s for s in some}
    if o.setting not in named:
        sys.exit(f"torch_nets_peer.py: setting {o.setting!r} unknown; have {'; '.join(named)}")
    params = sum(p.numel() for p in net.parameters())
    step = named[o.setting].step(o.job, net, batch(net, o.batch))
    print(json.dumps({"torch": torch.__version__, "setting": o.setting, "parameters": params, "multiply_adds": count}), flush=True)
    step()
    for line in sys.stdin:
        if int(line) > 1:
            step()  # the caches hold what the others had there
        print(json.dumps({"seconds": clock(step, int(line))}), flush=True)
    print(json.dumps({"memory": status("VmHWM")}), flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
