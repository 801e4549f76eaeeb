#!/usr/bin/env python3
"""Checks that numpy, plain Python and PyTorch read what hbar writes, and the reverse.

  scripts/check_interchange.py [--checkpoint runs/NAME/model.safetensors]

1. .npy: numpy writes arrays of every kind that hbar reads; hbar reads them and writes them again (float32 and float64);
   numpy loads those and they are equal.
2. Checkpoints: an MLP saved by PyTorch as an nn.Sequential is loaded by hbar and saved again; plain Python (struct and json)
   parses that file, finds the same weights bit for bit, and a PyTorch network built from it gives the same outputs as hbar's
   engine at 4096 points, to 1e-5 of the largest output.
3. With --checkpoint, the second half of 2 for that file, whatever trained it.

Needs Go, numpy and PyTorch (Debian: python3-numpy, python3-torch, run with /usr/bin/python3). Prints one line for each
check and exits with status 1 if one fails.
"""
import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np
import torch

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# What runs on hbar's side: `npy IN OUT32 OUT64` and `net CHECKPOINT POINTS OUT COPY`.
GO = r"""
package main

import (
	"context"
	"fmt"
	"os"

	"hbar/checkpoint"
	"hbar/data"
	"hbar/graph"
	"hbar/kernels/infer"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(job string, a []string) error {
	if job == "npy" {
		s, err := data.ByPath(a[0])
		if err != nil {
			return err
		}
		if err := data.WriteNpy(a[1], data.Float32, s.X, s.Shape...); err != nil {
			return err
		}
		return data.WriteNpy(a[2], data.Float64, s.X, s.Shape...)
	}
	m, err := checkpoint.Load(a[0])
	if err != nil {
		return err
	}
	points, err := data.ByPath(a[1]) // the D coordinates and the time input
	if err != nil {
		return err
	}
	network, err := graph.New(m.Spec, m.Params)
	if err != nil {
		return err
	}
	engine, err := infer.New(network.Program(), infer.Options{})
	if err != nil {
		return err
	}
	d := m.Spec.D
	x, tau := make([]float32, points.N()*d), make([]float64, points.N())
	for i := range tau {
		for k := range d {
			x[i*d+k] = float32(points.Row(i)[k])
		}
		tau[i] = points.Row(i)[d]
	}
	out := make([]float32, len(x))
	if err := engine.Forward(context.Background(), out, x, tau); err != nil {
		return err
	}
	w, err := data.CreateNpy(a[2], data.Float32, d)
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := w.WriteFloat32(out); err != nil {
		return err
	}
	if err := w.Commit(); err != nil {
		return err
	}
	return m.Save(a[3])
}
"""

failures = 0


def report(ok, text):
    global failures
    failures += not ok
    print(("ok    " if ok else "FAIL  ") + text)


def parse_safetensors(path):
    """The format in plain Python: 8 bytes of length, JSON, data."""
    raw = open(path, "rb").read()
    n, = struct.unpack("<Q", raw[:8])
    head = json.loads(raw[8:8 + n])
    meta = head.pop("__metadata__", {})
    tensors = {}
    for name, t in head.items():
        a, b = t["data_offsets"]
        assert t["dtype"] == "F32", t
        tensors[name] = np.frombuffer(raw[8 + n + a:8 + n + b], "<f4").reshape(t["shape"])
    return meta, tensors


def write_safetensors(path, meta, tensors):
    head, data = {"__metadata__": meta}, b""
    for name, v in tensors.items():
        b = np.ascontiguousarray(v, "<f4").tobytes()
        head[name] = {"dtype": "F32", "shape": list(v.shape), "data_offsets": [len(data), len(data) + len(b)]}
        data += b
    text = json.dumps(head).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)


class Net(torch.nn.Module):
    """The network that metadata net describes."""

    def __init__(self, net, tensors):
        super().__init__()
        t = lambda name: torch.from_numpy(tensors[name].copy())
        self.layers = [(t(f"dense{i}.weight"), t(f"dense{i}.bias")) for i in range(net["depth"] + 1)]
        self.act = {"silu": torch.nn.functional.silu, "gelu": torch.nn.functional.gelu, "tanh": torch.tanh}[net["act"]]
        self.residual = net["residual"]
        self.freqs = t("time.freqs") if net["fourier"] else None

    def forward(self, x, tau):
        if self.freqs is None:
            time = tau
        else:
            p = 2 * np.pi * tau * self.freqs
            time = torch.cat([torch.sin(p), torch.cos(p)], 1)
        h = torch.cat([x, time], 1)
        for i, (w, b) in enumerate(self.layers):
            y = torch.nn.functional.linear(h, w, b)
            if i < len(self.layers) - 1:
                y = self.act(y)
                if self.residual and i > 0:
                    y = h + y
            h = y
        return h


def check_npy(hbar, tmp):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(7, 3, 5))
    cases = {
        "float64": x, "float32": x.astype("f4"), "uint8": rng.integers(0, 256, (9, 4), dtype="u1"),
        "big-endian float64": x.astype(">f8"), "big-endian float32": x.astype(">f4"),
        "Fortran order": np.asfortranarray(x), "one dimension": x[:, 0, 0].copy(), "version 2": x, "version 3": x,
    }
    for name, a in cases.items():
        src, f4, f8 = (os.path.join(tmp, n) for n in ("in.npy", "f4.npy", "f8.npy"))
        with open(src, "wb") as f:
            version = (int(name[-1]), 0) if name.startswith("version") else None
            np.lib.format.write_array(f, a, version=version)
        hbar("npy", src, f4, f8)
        b4, b8 = np.load(f4), np.load(f8)
        want = a.reshape(len(a), -1) if a.ndim == 1 else a
        ok = b4.dtype == np.dtype("<f4") and b8.dtype == np.dtype("<f8") and b8.shape == want.shape \
            and np.array_equal(b8, want.astype("f8")) and np.array_equal(b4, want.astype("f4"))
        report(ok, f".npy {name} {a.shape}: hbar reads numpy's, numpy reads hbar's {b4.shape}")


def check_net(hbar, tmp, path, weights=None):
    rng = np.random.default_rng(2)
    points, out, copy = (os.path.join(tmp, n) for n in ("points.npy", "out.npy", "copy.safetensors"))
    meta, tensors = parse_safetensors(path)
    d = json.loads(meta["net"])["d"] if "net" in meta else list(tensors.values())[-1].shape[0]
    p = np.concatenate([rng.normal(size=(4096, d)), rng.uniform(0.01, 1, (4096, 1))], 1).astype("f4")
    np.save(points, p)
    hbar("net", path, points, out, copy)
    meta, tensors = parse_safetensors(copy)
    net = json.loads(meta["net"])
    name = os.path.basename(path)
    if weights is not None:
        same = all(np.array_equal(a, b) for a, b in zip(weights, tensors.values())) and len(weights) == len(tensors)
        report(same, f"{name}: plain Python finds the {len(tensors)} tensors, equal bit for bit")
    with torch.inference_mode():
        want = Net(net, tensors)(torch.from_numpy(p[:, :d]), torch.from_numpy(p[:, d:])).numpy()
    got = np.load(out)
    err = np.abs(got - want).max() / np.abs(want).max()
    report(got.shape == want.shape and err <= 1e-5,
           f"{name}: {net}: PyTorch's forward pass and hbar's differ by {err:.1e} of the largest output")


def main():
    o = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    o.add_argument("--checkpoint", help="a model.safetensors to check too")
    o = o.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        main_go, binary = os.path.join(tmp, "main.go"), os.path.join(tmp, "hbar-interchange")
        open(main_go, "w").write(GO)
        subprocess.run(["go", "build", "-o", binary, main_go], cwd=ROOT, check=True)
        hbar = lambda *a: subprocess.run([binary, *a], check=True)
        check_npy(hbar, tmp)
        torch.manual_seed(0)
        L, act = torch.nn.Linear, torch.nn.SiLU()
        mlp = torch.nn.Sequential(L(4, 96), act, L(96, 96), act, L(96, 96), act, L(96, 3))
        weights = [p.detach().numpy() for p in mlp.parameters()]
        path = os.path.join(tmp, "pytorch.safetensors")
        write_safetensors(path, {"sde": "cosine"}, {"net." + k: v.numpy() for k, v in mlp.state_dict().items()})
        check_net(hbar, tmp, path, weights)
        if o.checkpoint:
            check_net(hbar, tmp, o.checkpoint)
    print(f"numpy {np.__version__}, torch {torch.__version__}: " + ("all agree" if not failures else f"{failures} failed"))
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
