#!/usr/bin/env python3
"""How fast PyTorch runs the U-Net and the transformer of `make gpu-check`'s benchmarks on a GPU.

  torch_nets_gpu_peer.py --net unet-cifar10|dit-s2 --job sample|train --precision fp32|tf32|bf16 --how eager|compiled --batch 256

It prints one JSON line: the job's name, samples a second, and the version of PyTorch. bf16 is autocast; images are
channels_last, attention is PyTorch's own, Adam is fused. --device cpu is for a trial of the script. Without PyTorch it prints a line that says so and exits with status 3.
"""
import argparse
import json
import sys
import time

try:
    import torch
    from torch_nets import build
except ImportError as e:
    print(f"torch_nets_gpu_peer.py: {e}")
    sys.exit(3)

NETS = {
    "unet-cifar10": {"_class_name": "UNet2DModel", "sample_size": 32, "in_channels": 3, "out_channels": 3, "block_out_channels": [128, 256, 256, 256],
                     "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
                     "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"], "layers_per_block": 2, "attention_head_dim": None,
                     "norm_num_groups": 32, "norm_eps": 1e-6, "downsample_padding": 0, "flip_sin_to_cos": False, "freq_shift": 1,
                     "num_class_embeds": None, "add_attention": True, "center_input_sample": False},
    "dit-s2": {"_class_name": "DiT", "input_size": [32, 32], "patch_size": 2, "in_channels": 3, "hidden_size": 384, "depth": 12, "num_heads": 6, "num_classes": 0,
               "class_dropout_prob": 0.0, "learn_sigma": False, "mlp_ratio": 4.0},
}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--net", choices=list(NETS), required=True)
    p.add_argument("--job", choices=["sample", "train"], required=True)
    p.add_argument("--precision", choices=["fp32", "tf32", "bf16"], default="fp32")
    p.add_argument("--how", choices=["eager", "compiled"], default="eager")
    p.add_argument("--batch", type=int, default=256)
    p.add_argument("--steps", type=int, default=8)
    p.add_argument("--device", default="cuda")
    o = p.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = o.precision == "tf32"
    torch.backends.cudnn.benchmark = True
    net = build(NETS[o.net]).to(o.device).to(memory_format=torch.channels_last)
    call = torch.compile(net) if o.how == "compiled" else net
    x = torch.randn([o.batch, 3, 32, 32], device=o.device).contiguous(memory_format=torch.channels_last)
    t, y = torch.full([o.batch], 10.0, device=o.device), torch.zeros(o.batch, dtype=torch.long, device=o.device)
    z = torch.randn_like(x)
    cast = torch.autocast(o.device, torch.bfloat16, enabled=o.precision == "bf16")
    if o.job == "sample":
        net.requires_grad_(False)

        def step():
            nonlocal x
            with torch.no_grad(), cast:
                n = call(x, t, y)
            x = 0.9 * x + 0.1 * n.float() + 0.1 * torch.randn_like(x)
    else:
        adam = torch.optim.Adam(net.parameters(), 1e-4, **({"fused": True} if o.device == "cuda" else {}))

        def step():
            adam.zero_grad(set_to_none=True)
            with cast:
                n = call(x, t, y)
            ((n.float() - z) ** 2).mean().backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            adam.step()

    wait = torch.cuda.synchronize if o.device == "cuda" else lambda: None
    for _ in range(2):
        step()
    wait()
    begin = time.perf_counter()
    for _ in range(o.steps):
        step()
    wait()
    rate = o.batch * o.steps / (time.perf_counter() - begin)
    print(json.dumps({"job": f"{o.job}/{o.net}/{o.precision}", "how": o.how, "unit": "samples/s", "rate": rate, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
