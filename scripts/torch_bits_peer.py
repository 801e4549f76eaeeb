#!/usr/bin/env python3
"""Bits per dimension of a UNet2DModel by PyTorch, to be compared with `likelihood --bits`: the same images, noise and probes, on a mesh
and by arithmetic of its own.

  scripts/torch_bits_peer.py --make DIR [--size 28] [--channels 1] [--n 2]        a small network with random weights, and images
  scripts/torch_bits_peer.py --checkpoint DIR --data DIR/images.npy [--n N] [--dequantise uniform] [--draw K] [--probes K | --exact]

The process is DDPM's chain of 1000 states in continuous time: state k at t = (k + 1)/1000, log alpha^2 linear between states, the
network's time 1000 t - 1. The flow goes from t = 1/1000, where y = (x + u)/127.5 - 1 is the state, to 1, in --steps equal
Runge-Kutta steps of fourth order in log alpha^2 between any two states. The noise u and the Rademacher probes are those of hbar's
counters, Philox4x32-10, written out below, so that results differ by mesh and rounding alone.
"""
import argparse
import json
import math
import os
import struct
import sys

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torch_nets

PROBE, DEQUANTISE = 4, 9  # streams of hbar's random numbers, kernels/philox.go
MASK = 0xFFFFFFFF


def philox(counter, key):
    """One block of Philox4x32-10 (Salmon 2011): four words of 32 bits."""
    c, (k0, k1) = list(counter), key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k0, p1 & MASK, (p0 >> 32) ^ c[3] ^ k1, p0 & MASK]
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return c


def block(seed, stream, sample, number):
    return philox((number & MASK, stream, sample & MASK, sample >> 32), (seed & MASK, seed >> 32))


def uniforms(seed, sample, d):
    words = [w for b in range((d + 3) // 4) for w in block(seed, DEQUANTISE, sample, b)]
    return np.array(words[:d]) / 2.0 ** 32


def signs(seed, sample, probe, d):
    """Probe number `probe` of a sample: the signs of Box and Muller's normals."""
    out = []
    for pair in range(probe * ((d + 1) // 2), (probe + 1) * ((d + 1) // 2)):
        w = block(seed, PROBE, sample, pair // 2)
        angle = 2 * math.pi * w[2 * (pair % 2) + 1] / 2.0 ** 32
        out += [math.copysign(1, math.cos(angle)), math.copysign(1, math.sin(angle))]
    return np.array(out[:d])


def read_safetensors(path):
    with open(path, "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        raw = f.read()
    head.pop("__metadata__", None)
    return {k: torch.from_numpy(np.frombuffer(raw[v["data_offsets"][0]:v["data_offsets"][1]], "<f4").copy().reshape(v["shape"])) for k, v in head.items()}


def write_safetensors(path, tensors):
    head, raw = {}, b""
    for k, v in tensors.items():
        b = v.numpy().astype("<f4").tobytes()
        head[k] = {"dtype": "F32", "shape": list(v.shape), "data_offsets": [len(raw), len(raw) + len(b)]}
        raw += b
    text = json.dumps(head).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + raw)


def make(o):
    os.makedirs(o.make, exist_ok=True)
    torch.manual_seed(o.seed)
    config = dict(_class_name="UNet2DModel", sample_size=o.size, in_channels=o.channels, out_channels=o.channels, center_input_sample=False,
                  time_embedding_type="positional", freq_shift=1, flip_sin_to_cos=False, down_block_types=["DownBlock2D", "AttnDownBlock2D"],
                  up_block_types=["AttnUpBlock2D", "UpBlock2D"], block_out_channels=[16, 32], layers_per_block=1, mid_block_scale_factor=1,
                  downsample_padding=0, act_fn="silu", attention_head_dim=None, norm_num_groups=8, norm_eps=1e-6,
                  resnet_time_scale_shift="default", add_attention=True, num_class_embeds=None)
    net = torch_nets.build(config)
    scheduler = dict(_class_name="DDPMScheduler", num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, beta_schedule="linear",
                     prediction_type="epsilon", clip_sample=True)
    for name, value in (("config.json", config), ("scheduler_config.json", scheduler)):
        with open(os.path.join(o.make, name), "w") as f:
            json.dump(value, f, indent=1)
    write_safetensors(os.path.join(o.make, "diffusion_pytorch_model.safetensors"), net.state_dict())
    y, x = np.mgrid[:o.size, :o.size]
    images = [[255 * np.exp(-((x - o.size * (0.4 + 0.1 * i)) ** 2 + (y - o.size / 2) ** 2) / (2 * (1 + c + o.size / 6) ** 2)) for c in range(o.channels)] for i in range(o.n or 2)]
    np.save(os.path.join(o.make, "images.npy"), np.stack(images).transpose(0, 2, 3, 1).astype(np.uint8))


def schedule():
    """-log alpha^2 at t = k/1000, k = 0 ... 1000."""
    beta = np.linspace(1e-4, 0.02, 1000)
    return np.concatenate([[0], np.cumsum(-np.log1p(-beta))])


class Flow:
    def __init__(self, net, shape, probes, dtype):
        self.net, self.shape, self.probes, self.dtype, self.b = net, shape, probes, dtype, schedule()

    def slope(self, x, k, share):
        """dx/db and the traces of its derivative, b = -log alpha^2, at b[k] + share (b[k+1] - b[k])."""
        b = self.b[k] + share * (self.b[k + 1] - self.b[k])
        sigma = math.sqrt(-math.expm1(-b))
        t = torch.full((1,), k + share - 1, dtype=self.dtype)
        x = x.reshape(1, *self.shape).requires_grad_(True)
        eps = self.net(x, t)
        traces = []
        for v in self.probes:
            g, = torch.autograd.grad(eps, x, v.reshape(eps.shape), retain_graph=True)
            traces.append(float((g.reshape(-1) * v).sum()))
        d = x.numel()
        # dx/db = -(x + s)/2, s = -eps/sigma
        f = -(x.detach() - eps.detach() / sigma).reshape(-1) / 2
        trace = np.array(traces) if len(self.probes) else np.zeros(0)
        return f, -(d - trace / sigma) / 2

    def log_q(self, x, steps):
        total = np.zeros(len(self.probes))
        for k in range(1, 1000):
            h = (self.b[k + 1] - self.b[k]) / steps
            for j in range(steps):
                at = lambda c: (j + c) / steps
                f1, r1 = self.slope(x, k, at(0))
                f2, r2 = self.slope(x + h / 2 * f1, k, at(0.5))
                f3, r3 = self.slope(x + h / 2 * f2, k, at(0.5))
                f4, r4 = self.slope(x + h * f3, k, at(1))
                x = x + h / 6 * (f1 + 2 * f2 + 2 * f3 + f4)
                total = total + h / 6 * (r1 + 2 * r2 + 2 * r3 + r4)
        prior = -float((x * x).sum()) / 2 - x.numel() / 2 * math.log(2 * math.pi)
        return prior, total


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--make")
    p.add_argument("--size", type=int, default=28)
    p.add_argument("--channels", type=int, default=1)
    p.add_argument("--checkpoint")
    p.add_argument("--data")
    p.add_argument("--n", type=int, default=0)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--dequantise", choices=["uniform", "none"], default="none")
    p.add_argument("--draw", type=int, default=0, help="which draw of the noise")
    p.add_argument("--probes", type=int, default=1)
    p.add_argument("--exact", action="store_true")
    p.add_argument("--steps", type=int, default=1, help="Runge-Kutta steps between two states")
    p.add_argument("--double", action="store_true")
    o = p.parse_args()
    if o.make:
        return make(o)
    if not o.checkpoint or not o.data:
        p.error("--checkpoint and --data, or --make")
    dtype = torch.float64 if o.double else torch.float32
    with open(os.path.join(o.checkpoint, "config.json")) as f:
        config = json.load(f)
    net = torch_nets.UNet2D(config)
    net.load_state_dict(read_safetensors(os.path.join(o.checkpoint, "diffusion_pytorch_model.safetensors")))
    net.to(dtype)
    for q in net.parameters():
        q.requires_grad_(False)
    data = np.load(o.data)
    data = data[:o.n] if o.n else data
    data = data.reshape(len(data), *data.shape[1:3], -1)
    d = data[0].size
    means = []
    for i, x in enumerate(data):
        sample = i + (o.draw << 44)
        y = x.reshape(-1).astype(np.float64)
        if o.dequantise == "uniform":
            y = y + uniforms(o.seed, sample, d)
        y = (y / 127.5 - 1).reshape(x.shape).transpose(2, 0, 1)
        if o.exact:
            probes = np.eye(d)
        else:
            probes = [signs(o.seed, sample, k, d).reshape(x.shape).transpose(2, 0, 1).reshape(-1) for k in range(o.probes)]
        flow = Flow(net, y.shape, [torch.tensor(v, dtype=dtype) for v in probes], dtype)
        prior, total = flow.log_q(torch.tensor(y.reshape(-1), dtype=dtype), o.steps)
        trace = total.mean()
        if o.exact:  # each row has the drift's share of all dimensions: keep it once
            b = flow.b
            trace = total.sum() + (d - 1) * d * (b[1000] - b[1]) / 2
        bits = -(prior + trace - d * math.log(127.5)) / (d * math.log(2))
        means.append(bits)
        print(f"image {i}: {bits:.6f} bits per dimension", flush=True)
    print(f"mean of {len(means)}: {np.mean(means):.6f}")


if __name__ == "__main__":
    main()
