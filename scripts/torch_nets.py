"""U-Nets and diffusion transformers in plain PyTorch, with the names and arithmetic of the published networks, made from their
config.json: UNet2DModel and DiT. scripts/torch_nets_peer.py measures them; they need PyTorch 1.13 or later.
"""
import math
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F


def attention(q, k, v):
    """softmax(q k^T / sqrt(d)) v over [N, heads, T, d], by PyTorch's fused kernel where it has one (2.0 and later)."""
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v)
    return torch.softmax((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1), -1) @ v


class AttentionCore(nn.Module):
    """attention() as a module without weights, so that the count of multiply-adds sees it."""

    def forward(self, q, k, v):
        return attention(q, k, v)


def sinusoid(t, dim, cos_first, freq_shift):
    """[N] -> [N, dim], dim even: 10000^(-k / (dim/2 - freq_shift)) times t, sines and cosines."""
    half = dim // 2
    k = torch.arange(half, dtype=torch.float32)
    a = t[:, None] * torch.exp(-math.log(10000.0) * k / (half - freq_shift))[None]
    return torch.cat([torch.cos(a), torch.sin(a)] if cos_first else [torch.sin(a), torch.cos(a)], 1)


class ResnetBlock(nn.Module):
    """norm1, silu, conv1, + time_emb_proj(F.silu(temb)), norm2, silu, (dropout), conv2, + shortcut(x)."""

    def __init__(self, cin, cout, ctemb, groups, eps):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, cin, eps)
        self.conv1 = nn.Conv2d(cin, cout, 3, padding=1)
        self.time_emb_proj = nn.Linear(ctemb, cout)
        self.norm2 = nn.GroupNorm(groups, cout, eps)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(cin, cout, 1) if cin != cout else None

    def forward(self, x, temb):
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time_emb_proj(F.silu(temb))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return (x if self.conv_shortcut is None else self.conv_shortcut(x)) + h


class SpatialAttention(nn.Module):
    """x + to_out(attention(q, k, v)) with q, k, v from the group-normalised x; positions row-major, channels last.

    Heads split the channels in runs: head i has channels i d .. (i+1) d - 1. The weights are [out, in] matrices (Linear);
    in the original DDPM code they are 1x1 convolutions of the same values."""

    def __init__(self, c, head_dim, groups, eps):
        super().__init__()
        self.heads = c // head_dim
        self.group_norm = nn.GroupNorm(groups, c, eps)
        self.to_q = nn.Linear(c, c)
        self.to_k = nn.Linear(c, c)
        self.to_v = nn.Linear(c, c)
        self.to_out = nn.ModuleList([nn.Linear(c, c)])
        self.core = AttentionCore()

    def forward(self, x):
        n, c, h, w = x.shape
        z = self.group_norm(x.reshape(n, c, h * w)).transpose(1, 2)
        q, k, v = (f(z).reshape(n, h * w, self.heads, -1).transpose(1, 2) for f in (self.to_q, self.to_k, self.to_v))
        z = self.to_out[0](self.core(q, k, v).transpose(1, 2).reshape(n, h * w, c))
        return x + z.transpose(1, 2).reshape(n, c, h, w)


class Downsample(nn.Module):
    """3x3, stride 2. padding 1: one zero on each side. padding 0: one zero at the right and one at the bottom only (the
    DDPM networks; TensorFlow's SAME). Both halve an even size; the sampling points differ by one pixel."""

    def __init__(self, c, padding):
        super().__init__()
        self.conv = nn.Conv2d(c, c, 3, stride=2, padding=padding)

    def forward(self, x):
        return self.conv(F.pad(x, (0, 1, 0, 1)) if self.conv.padding[0] == 0 else x)


class Upsample(nn.Module):
    """Nearest, each pixel twice in both directions, then 3x3."""

    def __init__(self, c):
        super().__init__()
        self.conv = nn.Conv2d(c, c, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class TimeMLP(nn.Module):
    def __init__(self, cin, c):
        super().__init__()
        self.linear_1 = nn.Linear(cin, c)
        self.linear_2 = nn.Linear(c, c)

    def forward(self, e):
        return self.linear_2(F.silu(self.linear_1(e)))


class Level(nn.Module):
    """One block of the way down, the middle or the way up; which parts it has follows from its arguments."""

    def __init__(self, chans, out, ctemb, attn, head_dim, groups, eps, down=None, up=False):
        super().__init__()
        self.resnets = nn.ModuleList([ResnetBlock(c, out, ctemb, groups, eps) for c in chans])
        if attn:
            self.attentions = nn.ModuleList([SpatialAttention(out, head_dim or out, groups, eps) for _ in range(attn)])
        if down is not None:
            self.downsamplers = nn.ModuleList([Downsample(out, down)])
        if up:
            self.upsamplers = nn.ModuleList([Upsample(out)])


class UNet2D(nn.Module):
    """The DDPM U-Net as diffusers' UNet2DModel builds it, without dropout."""

    def __init__(self, c):
        super().__init__()
        self.config = c
        s = c["sample_size"]
        self.shape = [c["in_channels"]] + ([s, s] if isinstance(s, int) else list(s))
        ch, layers = list(c["block_out_channels"]), c["layers_per_block"]
        ctemb = 4 * ch[0]
        rest = dict(head_dim=c["attention_head_dim"], groups=c["norm_num_groups"], eps=c["norm_eps"])
        self.conv_in = nn.Conv2d(c["in_channels"], ch[0], 3, padding=1)
        self.time_embedding = TimeMLP(ch[0], ctemb)
        if c["num_class_embeds"]:
            self.class_embedding = nn.Embedding(c["num_class_embeds"], ctemb)
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        skips, prev = [ch[0]], ch[0]
        for i, (kind, out) in enumerate(zip(c["down_block_types"], ch)):
            last = i == len(ch) - 1
            self.down_blocks.append(Level([prev] + [out] * (layers - 1), out, ctemb, {"DownBlock2D": 0, "AttnDownBlock2D": layers}[kind],
                                          down=None if last else c["downsample_padding"], **rest))
            skips += [out] * (layers if last else layers + 1)
            prev = out
        self.mid_block = Level([prev, prev], prev, ctemb, 1 if c["add_attention"] else 0, **rest)
        for i, (kind, out) in enumerate(zip(c["up_block_types"], reversed(ch))):
            chans = []
            for j in range(layers + 1):
                chans.append((prev if j == 0 else out) + skips.pop())  # the skips come back last in, first out
            self.up_blocks.append(Level(chans, out, ctemb, {"UpBlock2D": 0, "AttnUpBlock2D": layers + 1}[kind],
                                        up=i < len(ch) - 1, **rest))
            prev = out
        assert not skips
        self.conv_norm_out = nn.GroupNorm(c["norm_num_groups"], ch[0], c["norm_eps"])
        self.conv_out = nn.Conv2d(ch[0], c["out_channels"], 3, padding=1)

    def forward(self, x, t, y=None):
        c = self.config
        if c["center_input_sample"]:
            x = 2 * x - 1
        emb = self.time_embedding(sinusoid(t, c["block_out_channels"][0], c["flip_sin_to_cos"], c["freq_shift"]))
        if c["num_class_embeds"]:
            emb = emb + self.class_embedding(y)
        x = self.conv_in(x)
        skips = [x]
        for b in self.down_blocks:
            for j, r in enumerate(b.resnets):
                x = r(x, emb)
                if hasattr(b, "attentions"):
                    x = b.attentions[j](x)
                skips.append(x)
            if hasattr(b, "downsamplers"):
                x = b.downsamplers[0](x)
                skips.append(x)
        x = self.mid_block.resnets[0](x, emb)
        if hasattr(self.mid_block, "attentions"):
            x = self.mid_block.attentions[0](x)
        x = self.mid_block.resnets[1](x, emb)
        for b in self.up_blocks:
            for j, r in enumerate(b.resnets):
                x = r(torch.cat([x, skips.pop()], 1), emb)  # current first, skip second
                if hasattr(b, "attentions"):
                    x = b.attentions[j](x)
            if hasattr(b, "upsamplers"):
                x = b.upsamplers[0](x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class QKVAttention(nn.Module):
    """qkv's output channel is (which of q, k, v; head; channel of the head), slowest first: all of q, then all of k, ..."""

    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(d, 3 * d)
        self.proj = nn.Linear(d, d)
        self.core = AttentionCore()

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(self.core(q, k, v).transpose(1, 2).reshape(n, t, d))


class MLP(nn.Module):
    def __init__(self, d, hidden):
        super().__init__()
        self.fc1 = nn.Linear(d, hidden)
        self.fc2 = nn.Linear(hidden, d)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


def modulate(x, shift, scale):
    return x * (1 + scale[:, None]) + shift[:, None]


class DiTBlock(nn.Module):
    """x += gate_a attn(modulate(LN x)); x += gate_m mlp(modulate(LN x)). The six chunks of adaLN_modulation(silu c), in
    order: shift_a, scale_a, gate_a, shift_m, scale_m, gate_m."""

    def __init__(self, d, heads, mlp_ratio):
        super().__init__()
        self.attn = QKVAttention(d, heads)
        self.mlp = MLP(d, int(d * mlp_ratio))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(d, 6 * d))

    def forward(self, x, c):
        sa, ca, ga, sm, cm, gm = self.adaLN_modulation[1](F.silu(c)).chunk(6, 1)
        x = x + ga[:, None] * self.attn(modulate(F.layer_norm(x, x.shape[-1:], eps=1e-6), sa, ca))
        return x + gm[:, None] * self.mlp(modulate(F.layer_norm(x, x.shape[-1:], eps=1e-6), sm, cm))


class FinalLayer(nn.Module):
    """Only two chunks: shift, scale."""

    def __init__(self, d, out):
        super().__init__()
        self.linear = nn.Linear(d, out)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(d, 2 * d))

    def forward(self, x, c):
        shift, scale = self.adaLN_modulation[1](F.silu(c)).chunk(2, 1)
        return self.linear(modulate(F.layer_norm(x, x.shape[-1:], eps=1e-6), shift, scale))


class TimestepEmbedder(nn.Module):
    def __init__(self, d, freqs=256):
        super().__init__()
        self.freqs = freqs
        self.mlp = nn.Sequential(nn.Linear(freqs, d), nn.SiLU(), nn.Linear(d, d))

    def forward(self, t):
        return self.mlp[2](F.silu(self.mlp[0](sinusoid(t, self.freqs, True, 0))))


class Holder(nn.Module):
    """A name in the state dict: x_embedder.proj, y_embedder.embedding_table."""

    def __init__(self, **parts):
        super().__init__()
        for k, v in parts.items():
            setattr(self, k, v)


class DiT(nn.Module):
    """The diffusion transformer of facebookresearch/DiT. num_classes = 0 leaves y_embedder out."""

    def __init__(self, c):
        super().__init__()
        self.config = c
        d, p, size = c["hidden_size"], c["patch_size"], c["input_size"]
        size = [size, size] if isinstance(size, int) else list(size)
        self.shape, self.grid = [c["in_channels"]] + size, [s // p for s in size]
        self.out_channels = c["in_channels"] * (2 if c["learn_sigma"] else 1)
        self.x_embedder = Holder(proj=nn.Conv2d(c["in_channels"], d, p, stride=p))
        self.register_buffer("pos_embed", torch.randn(1, self.grid[0] * self.grid[1], d))
        self.t_embedder = TimestepEmbedder(d)
        if c["num_classes"]:
            self.y_embedder = Holder(embedding_table=nn.Embedding(c["num_classes"] + (c["class_dropout_prob"] > 0), d))
        self.blocks = nn.ModuleList([DiTBlock(d, c["num_heads"], c["mlp_ratio"]) for _ in range(c["depth"])])
        self.final_layer = FinalLayer(d, p * p * self.out_channels)

    def unpatchify(self, z):
        # token -> (row in patch, column in patch, channel), channel fastest: unlike the patch convolution's weight,
        # which has the channel slowest.
        (gh, gw), p, c = self.grid, self.config["patch_size"], self.out_channels
        z = z.reshape(-1, gh, gw, p, p, c).permute(0, 5, 1, 3, 2, 4)
        return z.reshape(-1, c, gh * p, gw * p)

    def forward(self, x, t, y=None):
        z = self.x_embedder.proj(x).flatten(2).transpose(1, 2) + self.pos_embed
        c = self.t_embedder(t)
        if self.config["num_classes"]:
            c = c + self.y_embedder.embedding_table(y)
        for b in self.blocks:
            z = b(z, c)
        return self.unpatchify(self.final_layer(z, c))


KINDS = {"UNet2DModel": UNet2D, "DiT": DiT}


def build(config):
    """The network with random weights without zeros, so that no branch is trivial (a new DiT is zero)."""
    kind = config.get("_class_name")
    if kind not in KINDS:
        sys.exit(f"torch_nets.py: class {kind!r} unknown; have {', '.join(KINDS)}")
    net = KINDS[kind](config)
    with torch.no_grad():
        for name, p in net.named_parameters():
            if p.dim() == 1:
                p.copy_(torch.randn(p.shape) * 0.05 + ("norm" in name and name.endswith("weight")))
            else:
                p.copy_(torch.randn(p.shape) * 0.7 / p[0].numel() ** 0.5)
    return net
