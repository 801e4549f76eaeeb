// The fused reverse-time sampler on tensor cores: f16 operands, float32 accumulators, state and first and last layer.
//
// A warp owns 16 MT samples. The accumulators of one layer, activated and packed to f16, are the A fragments of the
// next, so activations never leave the registers; B fragments come from shared memory (WS) or L2, one 16-byte load a
// lane for 2 MT products. With SiLU the weights and biases before an activation are halved when they are packed:
// silu(2u) = u + u tanh u takes one special-function instruction instead of two.
#include "mma.cuh"

template <int ACT>
__device__ __forceinline__ float activate_fast(float u) {
  if (ACT == ACT_SILU) return fmaf(u, tanh_fast(u), u);
  if (ACT == ACT_TANH) return tanh_fast(u);
  return activate<ACT>(u);
}

// B fragments of the hidden layers 1.. in words of two halves: word ((layer-1) KT KT + kt KT + np) 128 + lane 4 + r
// with r = 2 (tile of the pair np) + (half of k). KT = width/16.
template <int KT>
__device__ __forceinline__ uint32_t fragment_word(const Net& net, const float* blob, int i, float scale) {
  const int r = i & 3, lane = (i >> 2) & 31, np = (i >> 7) % KT, kt = (i >> 7) / KT % KT, layer = 1 + (i >> 7) / (KT * KT);
  const int k = kt * 16 + (r & 1) * 8 + (lane & 3) * 2, u = np * 16 + (r >> 1) * 8 + (lane >> 2);
  const float* w = blob + net.w[layer] + unit_slot(u);
  return pack_f16(scale * w[k * net.width], scale * w[(k + 1) * net.width]);
}

// Packs the fragments once for all blocks.
#define PACK_F16(name, KT)                                                                                       \
  extern "C" __global__ void __launch_bounds__(256) name(Net net, const float* blob, unsigned* out, float scale) { \
    const int total = (net.hidden - 1) * KT * KT * 128;                                                           \
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < total; i += gridDim.x * blockDim.x)                   \
      out[i] = fragment_word<KT>(net, blob, i, scale);                                                            \
  }                                                                                                              \
  KERNEL(name)
PACK_F16(pack_f16_w64, 4)
PACK_F16(pack_f16_w128, 8)
PACK_F16(pack_f16_w256, 16)

// Shared memory in floats: fragments (WS), biases of layers 1.., first weights [d][width], head [width][d] and bias, then
// per warp the scaled state [16 MT][d] and, where a layer takes two passes, its packed outputs [4 KT MT][32]. All but
// the fragments are natural in unit order.
template <int ACT, int KT, int MT, bool WS, int ND>
__device__ __forceinline__ void sampler_f16_body(const Net& net, const uint32_t* __restrict__ frags, const float* __restrict__ blob,
                                                 const float* __restrict__ bias0, const Row* __restrict__ rows, int nrows, float* __restrict__ x,
                                                 float* __restrict__ mem, int n, uint64_t seed, uint32_t stream, uint64_t first) {
  EXTERN_SHARED(float, sm);
  enum { W = 16 * KT, NT = KT > 8 ? 16 : 2 * KT, PASSES = 2 * KT / NT };  // column tiles a pass: at most 128 units
  const float S = ACT == ACT_SILU ? 0.5f : 1.0f;
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5, g = lane >> 2, q = lane & 3;
  const int D = net.d, L = net.hidden;
  const int nfrag = (L - 1) * KT * KT * 128;
  uint32_t* sfrag = (uint32_t*)sm;
  float* sb = sm + (WS ? nfrag : 0);  // [L-1][W]
  float* w1 = sb + (L - 1) * W;       // [D][W]
  float* wh = w1 + D * W;             // [D][W], then bias [D]
  float* xs = wh + D * W + D + (D & 1) + warp * (16 * MT * D + (PASSES > 1 ? 128 * KT * MT : 0));
  uint32_t* stage = (uint32_t*)(xs + 16 * MT * D) + lane;  // [4 KT MT][32], this lane's column
  if (WS)
    for (int i = threadIdx.x; i < nfrag; i += blockDim.x) sfrag[i] = frags[i];
  for (int i = threadIdx.x; i < (L - 1) * W; i += blockDim.x) sb[i] = S * blob[net.b[1 + i / W] + i % W];
  for (int i = threadIdx.x; i < D * W; i += blockDim.x) {
    w1[i] = S * blob[net.w[0] + i / W * W + unit_slot(i % W)];
    wh[i] = blob[net.head + i % W * D + i / W];
  }
  for (int i = threadIdx.x; i < D; i += blockDim.x) wh[D * W + i] = blob[net.head + W * D + i];
  __syncthreads();
  const uint32_t* fr = WS ? sfrag : frags;
  const int tiles = (n + 16 * MT - 1) / (16 * MT);
  for (int tile = blockIdx.x * warps + warp; tile < tiles; tile += gridDim.x * warps) {
    // this lane's state: sample (lane & 15) of each m-tile, coordinates (lane >> 4), (lane >> 4) + 2, ...
    const int sn = lane & 15, sd = lane >> 4;
    float xc[MT][ND], mc[MT][ND];
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
      for (int i = 0; i < ND; i++) {
        const int row = (tile * MT + m) * 16 + sn, d = sd + 2 * i;
        xc[m][i] = row < n && d < D ? x[(size_t)row * D + d] : 0.0f;
        mc[m][i] = row < n && d < D && mem ? mem[(size_t)row * D + d] : 0.0f;
      }
    for (int r = 0; r < nrows; r++) {
      const Row rw = rows[r];
      const float* b0 = bias0 + (size_t)r * W;
      __syncwarp();
#pragma unroll
      for (int m = 0; m < MT; m++)
#pragma unroll
        for (int i = 0; i < ND; i++)
          if (sd + 2 * i < D) xs[(m * 16 + sn) * D + sd + 2 * i] = rw.cin * xc[m][i];
      __syncwarp();
      uint32_t a[MT][KT][4];
#pragma unroll
      for (int t = 0; t < 2 * KT; t++) {
        const int u = t * 8 + q * 2;
        float v[MT][4];
#pragma unroll
        for (int m = 0; m < MT; m++) v[m][0] = v[m][2] = S * b0[u], v[m][1] = v[m][3] = S * b0[u + 1];
        const auto add = [&](int d) {  // coordinate d's part
          const float2 w = *(const float2*)&w1[d * W + u];
#pragma unroll
          for (int m = 0; m < MT; m++) {
            const float lo = xs[(m * 16 + g) * D + d], hi = xs[(m * 16 + g + 8) * D + d];
            v[m][0] = fmaf(w.x, lo, v[m][0]), v[m][1] = fmaf(w.y, lo, v[m][1]);
            v[m][2] = fmaf(w.x, hi, v[m][2]), v[m][3] = fmaf(w.y, hi, v[m][3]);
          }
        };
        if constexpr (ND == 1) {  // at most two, without the cost of a loop
          add(0);
          if (D > 1) add(1);
        } else {
          for (int d = 0; d < D; d++) add(d);
        }
#pragma unroll
        for (int m = 0; m < MT; m++) {
          a[m][t >> 1][(t & 1) * 2] = pack_f16(activate_fast<ACT>(v[m][0]), activate_fast<ACT>(v[m][1]));
          a[m][t >> 1][(t & 1) * 2 + 1] = pack_f16(activate_fast<ACT>(v[m][2]), activate_fast<ACT>(v[m][3]));
        }
      }
#pragma unroll 1
      for (int layer = 1; layer < L; layer++) {
        const float* b = sb + (layer - 1) * W;
        const uint4* wl = (const uint4*)fr + (size_t)(layer - 1) * KT * KT * 32 + lane;
#pragma unroll
        for (int p = 0; p < PASSES; p++) {
          float acc[MT][NT][4];
#pragma unroll
          for (int t = 0; t < NT; t++) {
            const float2 bv = *(const float2*)&b[(p * NT + t) * 8 + q * 2];
#pragma unroll
            for (int m = 0; m < MT; m++) acc[m][t][0] = acc[m][t][2] = bv.x, acc[m][t][1] = acc[m][t][3] = bv.y;
          }
#pragma unroll
          for (int kt = 0; kt < KT; kt++)
#pragma unroll
            for (int np = 0; np < NT / 2; np++) {
              const uint4 bf = wl[(kt * KT + p * (NT / 2) + np) * 32];
#pragma unroll
              for (int m = 0; m < MT; m++) {
                mma_f16(acc[m][2 * np], a[m][kt], bf.x, bf.y);
                mma_f16(acc[m][2 * np + 1], a[m][kt], bf.z, bf.w);
              }
            }
#pragma unroll
          for (int m = 0; m < MT; m++)
#pragma unroll
            for (int t = 0; t < NT; t++)
#pragma unroll
              for (int hf = 0; hf < 2; hf++) {
                const int kt = (p * NT + t) >> 1, e = (t & 1) * 2 + hf;
                float h0 = activate_fast<ACT>(acc[m][t][2 * hf]), h1 = activate_fast<ACT>(acc[m][t][2 * hf + 1]);
                if (net.residual) {
                  float o0, o1;
                  unpack_f16(a[m][kt][e], &o0, &o1);
                  h0 += o0, h1 += o1;
                }
                if (PASSES > 1)
                  stage[((m * KT + kt) * 4 + e) * 32] = pack_f16(h0, h1);
                else
                  a[m][kt][e] = pack_f16(h0, h1);
              }
        }
        if (PASSES > 1) {
#pragma unroll
          for (int m = 0; m < MT; m++)
#pragma unroll
            for (int kt = 0; kt < KT; kt++)
#pragma unroll
              for (int e = 0; e < 4; e++) a[m][kt][e] = stage[((m * KT + kt) * 4 + e) * 32];
        }
      }
      // head: sum over this lane's units, then over the four lanes of a row; xs takes the outputs
      __syncwarp();
      for (int d = 0; d < D; d++) {
#pragma unroll
        for (int m = 0; m < MT; m++) {
          float lo = 0.0f, hi = 0.0f;
#pragma unroll
          for (int t = 0; t < 2 * KT; t++) {
            const float2 w = *(const float2*)&wh[d * W + t * 8 + q * 2];
            float h0, h1;
            unpack_f16(a[m][t >> 1][(t & 1) * 2], &h0, &h1);
            lo = fmaf(h0, w.x, fmaf(h1, w.y, lo));
            unpack_f16(a[m][t >> 1][(t & 1) * 2 + 1], &h0, &h1);
            hi = fmaf(h0, w.x, fmaf(h1, w.y, hi));
          }
          lo += __shfl_xor_sync(0xffffffffu, lo, 1), hi += __shfl_xor_sync(0xffffffffu, hi, 1);
          lo += __shfl_xor_sync(0xffffffffu, lo, 2), hi += __shfl_xor_sync(0xffffffffu, hi, 2);
          if (q == 0) xs[(m * 16 + g) * D + d] = lo + wh[D * W + d];
          if (q == 1) xs[(m * 16 + g + 8) * D + d] = hi + wh[D * W + d];
        }
      }
      __syncwarp();
#pragma unroll
      for (int m = 0; m < MT; m++) {
        Normals normals(seed, stream, first + (uint64_t)((tile * MT + m) * 16 + sn));
#pragma unroll
        for (int i = 0; i < ND; i++) {
          const int d = sd + 2 * i;
          if (d >= D) break;
          const float o = xs[(m * 16 + sn) * D + d];
          const float z = rw.c != 0.0f || rw.j != 0.0f ? normals(rw.step, D, d) : 0.0f;
          const float x0 = xc[m][i], m0 = mc[m][i];
          xc[m][i] = fmaf(rw.a, x0, fmaf(rw.b, o, fmaf(rw.m, m0, rw.c * z)));
          mc[m][i] = fmaf(rw.g, x0, fmaf(rw.h, o, fmaf(rw.k, m0, rw.j * z)));
        }
      }
    }
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
      for (int i = 0; i < ND; i++) {
        const int row = (tile * MT + m) * 16 + sn, d = sd + 2 * i;
        if (row < n && d < D) {
          x[(size_t)row * D + d] = xc[m][i];
          if (mem) mem[(size_t)row * D + d] = mc[m][i];
        }
      }
  }
}

#define SAMPLER_F16(name, ACT, KT, MT, WS, ND, THREADS)                                                                  \
  extern "C" __global__ void __launch_bounds__(THREADS, 1) name(Net net, const unsigned* frags, const float* blob,       \
      const float* bias0, const Row* rows, int nrows, float* x, float* mem, int n, unsigned long long seed, unsigned stream, unsigned long long first) { \
    sampler_f16_body<ACT, KT, MT, WS, ND>(net, frags, blob, bias0, rows, nrows, x, mem, n, seed, stream, first);          \
  }                                                                                                                      \
  KERNEL(name)
// SiLU only: the other activations serve smaller needs and are compiled for float32.
SAMPLER_F16(sampler_f16_silu_w64_shared_d2, ACT_SILU, 4, 2, true, 1, 256)
SAMPLER_F16(sampler_f16_silu_w64_shared_d32, ACT_SILU, 4, 1, true, MAX_D / 2, 256)
SAMPLER_F16(sampler_f16_silu_w128_shared_d2, ACT_SILU, 8, 1, true, 1, 384)
SAMPLER_F16(sampler_f16_silu_w128_stream_d2, ACT_SILU, 8, 1, false, 1, 384)
SAMPLER_F16(sampler_f16_silu_w128_shared_d32, ACT_SILU, 8, 1, true, MAX_D / 2, 256)
SAMPLER_F16(sampler_f16_silu_w128_stream_d32, ACT_SILU, 8, 1, false, MAX_D / 2, 256)
SAMPLER_F16(sampler_f16_silu_w256_stream_d2, ACT_SILU, 16, 1, false, 1, 256)
SAMPLER_F16(sampler_f16_silu_w256_stream_d32, ACT_SILU, 16, 1, false, MAX_D / 2, 256)
