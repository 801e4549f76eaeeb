#!/usr/bin/env python3
"""cmd/likelihood against the values that an independent program computed for two trained networks.

  scripts/compare_reference.py [--paths 1000] [--steps 800]

Reads solver/likelihood/testdata, runs `likelihood` on its 32 points by every method, and prints the largest errors of the
expansion and of Fokker-Planck, and the standardised differences of the path integral. Needs Go and plain Python; some minutes.
"""
import argparse
import json
import math
import os
import subprocess
import tempfile

TESTDATA = "solver/likelihood/testdata"


def likelihood(checkpoint, points, *options):
    with tempfile.TemporaryDirectory() as d:
        csv, out = os.path.join(d, "x.csv"), os.path.join(d, "r.json")
        with open(csv, "w") as f:
            f.writelines(",".join(repr(v) for v in p) + "\n" for p in points)
        subprocess.run(["go", "run", "./cmd/likelihood", "--checkpoint", f"{TESTDATA}/{checkpoint}", "--data", csv, "--out", out, *options],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(out) as f:
            return json.load(f)["points"]


def load(name):
    with open(f"{TESTDATA}/{name}") as f:
        return json.load(f)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--paths", default="1000", help="of the path integral, for each point and h")
    p.add_argument("--steps", default="800", help="of its finer chain")
    o = p.parse_args()
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

    for name in "simple", "cosine":
        want = load(f"golden_sr_{name}.json")
        got = likelihood(f"sr_{name}.safetensors", want["x0"], "--method", "wkb", "--h", "0")
        rows = list(zip(got, want["log_q0"], want["score_q0"], want["wkb1"]))
        print(f"{name}: log q0 within {max(abs(g['log_q0'] - l) for g, l, _, _ in rows):.1e}, "
              f"score {max(math.dist(g['score_q0'], s) / math.hypot(*s) for g, _, s, _ in rows):.1e} and "
              f"l1 {max(abs(g['wkb1'] - w) / abs(w) for g, _, _, w in rows):.1e} relative")

    truth = load("truth_sr_simple.json")
    hs = ",".join(str(h) for h in truth["h"])
    got = likelihood("sr_simple.safetensors", truth["points"], "--method", "fokkerplanck", "--h", hs)
    for j, h in enumerate(truth["h"]):
        worst = max(abs(g["log_q_fokkerplanck"][j] - truth["log_q"][j][i]) for i, g in enumerate(got))
        print(f"Fokker-Planck, h = {h}: within {worst:.1e}; the reference states {max(truth['err'][j]):.1e}")
    got = likelihood("sr_simple.safetensors", truth["points"], "--method", "pathintegral", "--h", hs, "--richardson", "--paths", o.paths, "--steps", o.steps)
    for j, h in enumerate(truth["h"]):
        z = [(g["log_q"][j] - truth["log_q"][j][i]) / math.hypot(g["stderr"][j], truth["err"][j][i])
             for i, g in enumerate(got) if g["log_q"][j] is not None]
        print(f"path integral, h = {h}: {len(z)} values, root-mean-square z {math.sqrt(sum(v * v for v in z) / len(z)):.2f}, largest {max(map(abs, z)):.1f}")


if __name__ == "__main__":
    main()
