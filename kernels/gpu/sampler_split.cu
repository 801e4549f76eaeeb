// The fused reverse-time sampler in float32's accuracy on tensor cores: every weight and activation of the products is the
// sum of two halves (f16), x = hi + lo to 22 bits, and a product is lo hi + hi lo + hi hi. Tensor cores round sums towards
// zero, so those of 16 products are added up in float32 outside of them (Ootomo and Yokota 2022, arXiv:2203.03341, section
// 3). Weights come times a power of two, which keeps lo away from f16's smallest numbers. The largest f16 is 65504: a
// sample with a larger activation becomes infinite or NaN, and the host computes it again by sampler_fp32.cu.
//
// A warp integrates 16 samples, whose activations stay in registers; see sampler_f16.cu.
#include "halves.cuh"
#include "state.cuh"

// Fragments of the hidden layers 1.., words of two halves: word (((layer-1) KT KT + kt KT + np) 2 + part) 128 + lane 4 + r with
// r = 2 (tile of the pair np) + (half of k), part 0 hi, 1 lo. One thread a pair of words.
template <int KT>
__device__ __forceinline__ void pack_layers(const Net& net, const SplitScale& scale, const float* blob, uint32_t* out) {
  const int total = (net.hidden - 1) * KT * KT * 128;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < total; i += gridDim.x * blockDim.x) {
    const int r = i & 3, lane = (i >> 2) & 31, np = (i >> 7) % KT, kt = (i >> 7) / KT % KT, layer = 1 + (i >> 7) / (KT * KT);
    const int k = kt * 16 + (r & 1) * 8 + (lane & 3) * 2, u = np * 16 + (r >> 1) * 8 + (lane >> 2);
    const float* w = blob + net.w[layer] + unit_slot(u);
    uint32_t* to = out + (i >> 7) * 256 + (i & 127);
    split_f16(scale.w[layer] * w[k * net.width], scale.w[layer] * w[(k + 1) * net.width], to, to + 128);
  }
}

#define PACK_SPLIT(name, KT)                                                                                                        \
  extern "C" __global__ void __launch_bounds__(256) name(Net net, SplitScale scale, const float* blob, unsigned* out) { pack_layers<KT>(net, scale, blob, out); } \
  KERNEL(name)
PACK_SPLIT(sampler_split_pack_w64, 4)
PACK_SPLIT(sampler_split_pack_w128, 8)

// acc += the product of 16 inputs, hi + lo, and NT tiles of 8 units; b are the fragments of hi, those of lo 32 words of four
// further on. Dependent products are far apart in the code.
template <int NT>
__device__ __forceinline__ void multiply(float acc[NT][4], const uint32_t hi[4], const uint32_t lo[4], const uint4* b) {
  float t[NT][4];
  uint4 h[NT / 2];
#pragma unroll
  for (int i = 0; i < NT * 4; i++) t[i / 4][i % 4] = 0.0f;
#pragma unroll
  for (int np = 0; np < NT / 2; np++) {
    const uint4 l = b[np * 64 + 32];
    mma_f16(t[2 * np], hi, l.x, l.y);
    mma_f16(t[2 * np + 1], hi, l.z, l.w);
  }
#pragma unroll
  for (int np = 0; np < NT / 2; np++) {
    h[np] = b[np * 64];
    mma_f16(t[2 * np], lo, h[np].x, h[np].y);
    mma_f16(t[2 * np + 1], lo, h[np].z, h[np].w);
  }
#pragma unroll
  for (int np = 0; np < NT / 2; np++) {
    mma_f16(t[2 * np], hi, h[np].x, h[np].y);
    mma_f16(t[2 * np + 1], hi, h[np].z, h[np].w);
  }
#pragma unroll
  for (int i = 0; i < NT * 4; i++) acc[i / 4][i % 4] += t[i / 4][i % 4];
}

template <int ACT, int NT>
__device__ __forceinline__ void activate_split(float acc[NT][4]) {
#pragma unroll
  for (int t = 0; t < NT; t++)
#pragma unroll
    for (int i = 0; i < 4; i++) acc[t][i] = activate<ACT>(acc[t][i]);
}

// Shared memory in words: fragments, those of the head (words of sampler_f16.cu's head), its bias [8 H] (H = D/8 rounded
// up), inverse scales [MAX_LAYERS], biases of layers 1.., first weights [d][width], then per warp the scaled state [16][d]; all but the fragments in unit
// order. A pass of a layer is NT tiles of 8 units. SMALL: at most two dimensions; see State.
template <int KT, int NT, bool SMALL>
__device__ __forceinline__ void sampler_split_body(const Net& net, const SplitScale& scale, const uint32_t* __restrict__ frags, const float* __restrict__ blob,
                                                   const float* __restrict__ bias0, const Row* __restrict__ rows, int nrows, float* __restrict__ x,
                                                   float* __restrict__ mem, int n, uint64_t seed, uint32_t stream, uint64_t first) {
  EXTERN_SHARED(float, sm);
  enum { W = 16 * KT, PASSES = 2 * KT / NT };
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5, g = lane >> 2, q = lane & 3;
  const int D = net.d, L = net.hidden, act = net.act, H = (D + 7) / 8;
  const int nfrag = (L - 1) * KT * KT * 256;
  uint32_t* sfrag = (uint32_t*)sm;
  uint32_t* hfrag = sfrag + nfrag;             // [H][KT][32][4]
  float* hb = (float*)hfrag + H * KT * 128;    // [8 H]
  float* inverse = hb + 8 * H;                 // [MAX_LAYERS]
  float* sb = inverse + MAX_LAYERS;            // [L-1][W]
  float* w1 = sb + (L - 1) * W;                // [D][W]
  float* xs = w1 + D * W + warp * (16 * D);
  for (int i = threadIdx.x; i < nfrag / 4; i += blockDim.x) ((uint4*)sfrag)[i] = ((const uint4*)frags)[i];
  for (int i = threadIdx.x; i < H * KT * 64; i += blockDim.x) {
    const int r = i & 1, l = (i >> 1) & 31, kt = (i >> 6) % KT, nt = (i >> 6) / KT, k = kt * 16 + r * 8 + (l & 3) * 2, o = nt * 8 + (l >> 2);
    const float* w = blob + net.head + k * D + o;
    uint32_t* to = hfrag + (i >> 6) * 128 + l * 4 + r;
    split_f16(o < D ? scale.w[0] * w[0] : 0.0f, o < D ? scale.w[0] * w[D] : 0.0f, to, to + 2);
  }
  for (int i = threadIdx.x; i < MAX_LAYERS; i += blockDim.x) inverse[i] = 1.0f / scale.w[i];
  for (int i = threadIdx.x; i < 8 * H; i += blockDim.x) hb[i] = i < D ? blob[net.head + W * D + i] : 0.0f;
  for (int i = threadIdx.x; i < (L - 1) * W; i += blockDim.x) sb[i] = blob[net.b[1 + i / W] + i % W];
  for (int i = threadIdx.x; i < D * W; i += blockDim.x) w1[i] = blob[net.w[0] + i / W * W + unit_slot(i % W)];
  __syncthreads();
  const int tiles = (n + 15) / 16;
  for (int tile = blockIdx.x + warp * gridDim.x; tile < tiles; tile += gridDim.x * warps) {
    // this lane's state: sample lane & 15, coordinates (lane >> 4), (lane >> 4) + 2, ...
    const int sn = lane & 15, sd = lane >> 4, row = tile * 16 + sn;
    State<SMALL> state;
    state.begin(x, mem, row, n, D, sd);
    for (int r = 0; r < nrows; r++) {
      const float cin = rows[r].cin;
      __syncwarp();
      for (int d = sd; d < D; d += 2) xs[sn * D + d] = cin * state.at(d);
      __syncwarp();
      uint32_t hi[KT][4], lo[KT][4];
#pragma unroll 1
      for (int layer = 0; layer < L; layer++) {
        uint32_t nexthi[KT][4], nextlo[KT][4];
#pragma unroll
        for (int p = 0; p < PASSES; p++) {
          float acc[NT][4];
          if (layer == 0) {
            const float* b = bias0 + (size_t)r * W;
#pragma unroll
            for (int t = 0; t < NT; t++) {
              const float2 bv = *(const float2*)&b[(p * NT + t) * 8 + q * 2];
              acc[t][0] = acc[t][2] = bv.x, acc[t][1] = acc[t][3] = bv.y;
            }
            const auto add = [&](int d) {  // coordinate d's part
              const float* w = w1 + d * W + p * NT * 8 + q * 2;
              const float up = xs[g * D + d], down = xs[(g + 8) * D + d];
#pragma unroll
              for (int t = 0; t < NT; t++) {
                const float2 wv = *(const float2*)&w[t * 8];
                acc[t][0] = fmaf(wv.x, up, acc[t][0]), acc[t][1] = fmaf(wv.y, up, acc[t][1]);
                acc[t][2] = fmaf(wv.x, down, acc[t][2]), acc[t][3] = fmaf(wv.y, down, acc[t][3]);
              }
            };
            if constexpr (SMALL) {  // without the cost of a loop
              add(0);
              if (D > 1) add(1);
            } else {
#pragma unroll 1
              for (int d = 0; d < D; d++) add(d);
            }
          } else {
#pragma unroll
            for (int t = 0; t < NT; t++) acc[t][0] = acc[t][1] = acc[t][2] = acc[t][3] = 0.0f;
            const uint4* wl = (const uint4*)sfrag + (layer - 1) * KT * KT * 64 + lane;
#pragma unroll
            for (int kt = 0; kt < KT; kt++) multiply<NT>(acc, hi[kt], lo[kt], &wl[(kt * KT + p * (NT / 2)) * 64]);
            const float unscale = inverse[layer];
            const float* b = sb + (layer - 1) * W;
#pragma unroll
            for (int t = 0; t < NT; t++) {
              const float2 bv = *(const float2*)&b[(p * NT + t) * 8 + q * 2];
              acc[t][0] = fmaf(acc[t][0], unscale, bv.x), acc[t][1] = fmaf(acc[t][1], unscale, bv.y);
              acc[t][2] = fmaf(acc[t][2], unscale, bv.x), acc[t][3] = fmaf(acc[t][3], unscale, bv.y);
            }
          }
          // the branches are the same for all threads
          if (act == ACT_SILU) activate_split<ACT_SILU, NT>(acc);
          else if (act == ACT_GELU) activate_split<ACT_GELU, NT>(acc);
          else activate_split<ACT_TANH, NT>(acc);
          if (net.residual && layer) {
#pragma unroll
            for (int t = 0; t < NT; t++)
#pragma unroll
              for (int hf = 0; hf < 2; hf++) {
                const int kt = p * (NT / 2) + (t >> 1), e = (t & 1) * 2 + hf;
                float h0, h1, l0, l1;
                unpack_f16(hi[kt][e], &h0, &h1), unpack_f16(lo[kt][e], &l0, &l1);
                acc[t][2 * hf] += h0 + l0, acc[t][2 * hf + 1] += h1 + l1;
              }
          }
#pragma unroll
          for (int t = 0; t < NT; t++)
#pragma unroll
            for (int hf = 0; hf < 2; hf++) {
              const int kt = p * (NT / 2) + (t >> 1), e = (t & 1) * 2 + hf;
              split_f16(acc[t][2 * hf], acc[t][2 * hf + 1], &nexthi[kt][e], &nextlo[kt][e]);
            }
        }
#pragma unroll
        for (int kt = 0; kt < KT; kt++)
#pragma unroll
          for (int e = 0; e < 4; e++) hi[kt][e] = nexthi[kt][e], lo[kt][e] = nextlo[kt][e];
      }
      // head: xs takes the outputs
      __syncwarp();
      for (int nt = 0; nt < H; nt++) {
        const int o = nt * 8 + q * 2;
        const uint4* hl = (const uint4*)hfrag + nt * KT * 32 + lane;
        float acc[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
        for (int kt = 0; kt < KT; kt++) {
          const uint4 w = hl[kt * 32];
          float t[4] = {0.0f, 0.0f, 0.0f, 0.0f};
          mma_f16(t, hi[kt], w.z, w.w);
          mma_f16(t, lo[kt], w.x, w.y);
          mma_f16(t, hi[kt], w.x, w.y);
#pragma unroll
          for (int i = 0; i < 4; i++) acc[i] += t[i];
        }
#pragma unroll
        for (int i = 0; i < 4; i++)
          if (o + (i & 1) < D) xs[(g + 8 * (i >> 1)) * D + o + (i & 1)] = fmaf(acc[i], inverse[0], hb[o + (i & 1)]);
      }
      __syncwarp();
      const Row rw = rows[r];
      Normals normals(seed, stream, first + (uint64_t)row);
#pragma unroll 1
      for (int d = sd; d < D; d += 2) {
        const float z = rw.c != 0.0f || rw.j != 0.0f ? normals(rw.step, D, d) : 0.0f;
        state.step(rw, d, xs[sn * D + d], z);
      }
    }
    state.finish(sd);
  }
}

#define SAMPLER_SPLIT(name, KT, NT, SMALL)                                                                                   \
  extern "C" __global__ void __launch_bounds__(256, 1) name(Net net, SplitScale scale, const unsigned* frags, const float* blob, \
      const float* bias0, const Row* rows, int nrows, float* x, float* mem, int n, unsigned long long seed, unsigned stream, unsigned long long first) { \
    sampler_split_body<KT, NT, SMALL>(net, scale, frags, blob, bias0, rows, nrows, x, mem, n, seed, stream, first);           \
  }                                                                                                                          \
  KERNEL(name)
SAMPLER_SPLIT(sampler_split_w64_d2, 4, 8, true)
SAMPLER_SPLIT(sampler_split_w64_d32, 4, 8, false)
SAMPLER_SPLIT(sampler_split_w128_d2, 8, 4, true)
SAMPLER_SPLIT(sampler_split_w128_d32, 8, 4, false)
