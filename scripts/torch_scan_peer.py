#!/usr/bin/env python3
"""How fast PyTorch trains a complex diagonal recurrence on a CPU: scripts/bench runs it beside hbar's ops.Scan.

  torch_scan_peer.py --batch 16 --times 1024 --modes 64

The job is z_t = lambda z_(t-1) + u_t for a batch of sequences, and the gradients of <g, z> in lambda and u. First it checks that
the ways to write it agree, tries them with the numbers of threads, and prints one JSON line: the version of PyTorch, the best
setting, the number of parameters and the multiply-adds of the job. Then it goes on as torch_nets_peer.py does. The ways:

  loop       over time, on complex tensors
  pairs      over time, on real and imaginary parts, compiled by TorchScript
  doubling   log2(times) passes: z += lambda^(2^k) z shifted by 2^k (Hillis and Steele 1986)
  fft        a convolution with the powers of lambda, by FFTs of twice the length
  matrix     chunks of times as products with the matrix of powers of lambda, of each mode, and the ends of chunks by a loop
"""
import argparse
import json
import sys
import time

try:
    import torch
except ImportError as e:
    print(f"torch_scan_peer.py: {e}")
    sys.exit(3)


def loop(lam, u):
    z, out = torch.zeros_like(u[:, 0]), []
    for v in u.unbind(1):
        z = lam * z + v
        out.append(z)
    return torch.stack(out, 1)


@torch.jit.script
def real_loop(lr, li, ur, ui):
    zr, zi = torch.zeros_like(ur[:, 0]), torch.zeros_like(ui[:, 0])
    re, im = [], []
    for t in range(ur.size(1)):
        zr, zi = lr * zr - li * zi + ur[:, t], lr * zi + li * zr + ui[:, t]
        re.append(zr)
        im.append(zi)
    return torch.stack(re, 1), torch.stack(im, 1)


def pairs(lam, u):
    return torch.complex(*real_loop(lam.real, lam.imag, u.real, u.imag))


def doubling(lam, u):
    z, power, shift = u, lam, 1
    while shift < u.shape[1]:
        z = torch.cat([z[:, :shift], z[:, shift:] + power * z[:, :-shift]], 1)
        power, shift = power * power, 2 * shift
    return z


def powers(lam, n):
    return torch.exp(torch.arange(n)[:, None] * torch.log(lam))


def fft(lam, u):
    n = u.shape[1]
    kernel = torch.fft.fft(powers(lam, n), 2 * n, dim=0)
    return torch.fft.ifft(torch.fft.fft(u, 2 * n, dim=1) * kernel, dim=1)[:, :n]


def matrix(lam, u, chunk=32):
    b, n, modes = u.shape
    p = torch.cat([powers(lam, chunk), torch.zeros(1, modes)])
    i = torch.arange(chunk)
    lag = i[:, None] - i[None, :]
    m = p[torch.where(lag < 0, chunk, lag)].permute(2, 0, 1)  # modes, chunk, chunk
    local = torch.matmul(m, u.reshape(b * n // chunk, chunk, modes).permute(2, 1, 0)).reshape(modes, chunk, b, n // chunk)
    z, starts, last = torch.zeros(modes, b, dtype=u.dtype), [], (p[chunk - 1] * lam)[:, None]
    for c in range(n // chunk):
        starts.append(z)
        z = last * z + local[:, -1, :, c]
    first = torch.stack(starts, -1)[:, None] * (p[:chunk] * lam).t()[:, :, None, None]
    return (local + first).permute(2, 3, 1, 0).reshape(b, n, modes)


WAYS = {"loop": loop, "pairs": pairs, "doubling": doubling, "fft": fft, "matrix": matrix}


def clock(step, times):
    start = time.perf_counter()
    for _ in range(times):
        step()
    return (time.perf_counter() - start) / times


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--batch", type=int, required=True)
    p.add_argument("--times", type=int, required=True)
    p.add_argument("--modes", type=int, required=True)
    p.add_argument("--threads", default="2,1", help="numbers of threads to try")
    o = p.parse_args()
    torch.manual_seed(1)
    torch.set_flush_denormal(True)
    tau = torch.logspace(0, 3, o.modes)
    lam = torch.polar(torch.exp(-1 / tau), torch.linspace(0.01, 3.1, o.modes)).requires_grad_(True)
    u = torch.randn(o.batch, o.times, o.modes, dtype=torch.complex64).requires_grad_(True)
    g = torch.randn(o.batch, o.times, o.modes, dtype=torch.complex64)

    def step(way):
        lam.grad = u.grad = None
        z = way(lam, u)
        torch.autograd.backward(z, g)
        return z.detach()

    want = step(loop)
    ways = {k: w for k, w in WAYS.items() if k != "matrix" or o.times % 32 == 0}
    scored, best = [], float("inf")
    for threads in (int(t) for t in o.threads.split(",")):
        torch.set_num_threads(threads)
        for name, way in ways.items():
            z = step(way)
            error = (z - want).abs().max() / want.abs().max()
            if not error < 1e-3:
                sys.exit(f"torch_scan_peer.py: {name} differs by {error:.1g}")
            for _ in range(2 if name == "pairs" else 0):  # TorchScript compiles in its first runs
                step(way)
            seconds = clock(lambda: step(way), 1)
            if seconds < 1.5 * best:  # worth another look
                seconds = clock(lambda: step(way), 3)
            best = min(best, seconds)
            scored.append((seconds, threads, name))
    for seconds, threads, name in sorted(scored):
        print(f"torch_scan_peer.py: {name}, {threads} threads: {1e3 * seconds:.2f} ms", file=sys.stderr)
    _, threads, name = min(scored)
    torch.set_num_threads(threads)
    # 4 multiply-adds a mode and time forward, 8 backward: those of the recurrence, however a way gets there
    count = 12 * o.batch * o.times * o.modes
    print(json.dumps({"torch": torch.__version__, "setting": f"{name}, {threads} thread" + "s" * (threads > 1), "parameters": 2 * o.modes, "multiply_adds": count}), flush=True)
    for line in sys.stdin:
        if int(line) > 1:
            step(ways[name])
        print(json.dumps({"seconds": clock(lambda: step(ways[name]), int(line))}), flush=True)
    print(json.dumps({"memory": None}), flush=True)


if __name__ == "__main__":
    main()
