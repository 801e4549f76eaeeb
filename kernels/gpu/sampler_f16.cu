// The fused reverse-time sampler on tensor cores: f16 operands, float32 accumulators, state and first and last layer.
//
// A warp integrates 16 MT samples. The accumulators of one layer, activated and packed to f16, are the A fragments of the
// next, so activations never leave the registers; B fragments come from shared memory (WS) or L2, one 16-byte load a
// lane for 2 MT products. With SiLU the weights and biases before an activation are halved when they are packed:
// silu(2u) = u + u tanh u takes one special-function instruction instead of two.
#include "mma.cuh"
#include "state.cuh"

template <int ACT>
__device__ __forceinline__ float activate_fast(float u) {
  if (ACT == ACT_SILU) return fmaf(u, tanh_fast(u), u);
  if (ACT == ACT_TANH) return tanh_fast(u);
  return activate<ACT>(u);
}

template <int ACT, int MT, int NT>
__device__ __forceinline__ void activate_pass(float acc[MT][NT][4]) {
#pragma unroll
  for (int m = 0; m < MT; m++)
#pragma unroll
    for (int t = 0; t < NT; t++)
#pragma unroll
      for (int i = 0; i < 4; i++) acc[m][t][i] = activate_fast<ACT>(acc[m][t][i]);
}

// Packs the activated accumulators of a pass of NT column tiles, with the layer's input added for a residual connection:
// tile t of the layer is half t & 1 of the A fragment t >> 1; kt0 is the pass's first.
template <bool RESIDUAL, int MT, int NT, int KT>
__device__ __forceinline__ void pack_pass(float acc[MT][NT][4], const uint32_t a[MT][KT][4], uint32_t out[MT][KT][4], int kt0) {
#pragma unroll
  for (int m = 0; m < MT; m++)
#pragma unroll
    for (int t = 0; t < NT; t++)
#pragma unroll
      for (int hf = 0; hf < 2; hf++) {
        const int kt = kt0 + (t >> 1), e = (t & 1) * 2 + hf;
        float o0 = 0.0f, o1 = 0.0f;
        if (RESIDUAL) unpack_f16(a[m][kt][e], &o0, &o1);
        out[m][kt][e] = RESIDUAL ? pack_f16(acc[m][t][2 * hf] + o0, acc[m][t][2 * hf + 1] + o1) : pack_f16(acc[m][t][2 * hf], acc[m][t][2 * hf + 1]);
      }
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

// A word of the head's fragments: 8 outputs nt, 16 inputs kt. r & 1 is the half of k; words r >= 2 hold what rounding to f16
// left of words r < 2, so that the head's weights are exact to 2^-22.
template <int KT>
__device__ __forceinline__ uint32_t head_word(const Net& net, const float* blob, int i) {
  const int r = i & 3, lane = (i >> 2) & 31, kt = (i >> 7) % KT, nt = (i >> 7) / KT;
  const int k = kt * 16 + (r & 1) * 8 + (lane & 3) * 2, o = nt * 8 + (lane >> 2);
  if (o >= net.d) return 0;
  const float w0 = blob[net.head + k * net.d + o], w1 = blob[net.head + (k + 1) * net.d + o];
  const uint32_t hi = pack_f16(w0, w1);
  if (r < 2) return hi;
  float h0, h1;
  unpack_f16(hi, &h0, &h1);
  return pack_f16(w0 - h0, w1 - h1);
}

// Shared memory in words: fragments (WS), fragments of the head, its bias [8 H] (H = D/8 rounded up), biases of layers 1..,
// first weights [d][width], then per warp the scaled state [16 MT][d]. The first weights and the biases are in unit order
// and scaled like the fragments, as bias0 is. A pass of a layer is NT tiles of 8 units. SMALL: at most two dimensions; see State.
template <int KT, int NT, int MT, bool WS, bool SMALL>
__device__ __forceinline__ void sampler_f16_body(const Net& net, const uint32_t* __restrict__ frags, const float* __restrict__ blob,
                                                 const float* __restrict__ bias0, float scale, const Row* __restrict__ rows, int nrows, float* __restrict__ x,
                                                 float* __restrict__ mem, int n, uint64_t seed, uint32_t stream, uint64_t first) {
  EXTERN_SHARED(float, sm);
  enum { W = 16 * KT, PASSES = 2 * KT / NT };
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5, g = lane >> 2, q = lane & 3;
  const int D = net.d, L = net.hidden, act = net.act;
  const int nfrag = (L - 1) * KT * KT * 128;
  uint32_t* sfrag = (uint32_t*)sm;
  const int H = (D + 7) / 8;
  uint32_t* hfrag = sfrag + (WS ? nfrag : 0);  // [H][KT][32][4]
  float* hb = (float*)hfrag + H * KT * 128;    // [8 H]
  float* sb = hb + 8 * H;                      // [L-1][W]
  float* w1 = sb + (L - 1) * W;                // [D][W]
  float* xs = w1 + D * W + warp * (16 * MT * D);
  if (WS)
    for (int i = threadIdx.x; i < nfrag; i += blockDim.x) sfrag[i] = frags[i];
  for (int i = threadIdx.x; i < H * KT * 128; i += blockDim.x) hfrag[i] = head_word<KT>(net, blob, i);
  for (int i = threadIdx.x; i < 8 * H; i += blockDim.x) hb[i] = i < D ? blob[net.head + W * D + i] : 0.0f;
  for (int i = threadIdx.x; i < (L - 1) * W; i += blockDim.x) sb[i] = scale * blob[net.b[1 + i / W] + i % W];
  for (int i = threadIdx.x; i < D * W; i += blockDim.x) w1[i] = scale * blob[net.w[0] + i / W * W + unit_slot(i % W)];
  __syncthreads();
  const uint32_t* fr = WS ? sfrag : frags;
  const int tiles = (n + 16 * MT - 1) / (16 * MT);
  for (int tile = blockIdx.x + warp * gridDim.x; tile < tiles; tile += gridDim.x * warps) {
    // this lane's state: sample (lane & 15) of each m-tile, coordinates (lane >> 4), (lane >> 4) + 2, ...
    const int sn = lane & 15, sd = lane >> 4, row = tile * MT * 16 + sn;
    State<SMALL> state[MT];
#pragma unroll
    for (int m = 0; m < MT; m++) state[m].begin(x, mem, row + 16 * m, n, D, sd);
    for (int r = 0; r < nrows; r++) {
      const float cin = rows[r].cin;
      const float* b0 = bias0 + (size_t)r * W;
      __syncwarp();
#pragma unroll
      for (int m = 0; m < MT; m++)
        for (int d = sd; d < D; d += 2) xs[(m * 16 + sn) * D + d] = cin * state[m].at(d);
      __syncwarp();
      uint32_t a[MT][KT][4];
#pragma unroll 1
      for (int layer = 0; layer < L; layer++) {
        uint32_t out[MT][KT][4];
#pragma unroll
        for (int p = 0; p < PASSES; p++) {
          float acc[MT][NT][4];
          const auto bias = [&](const float* b) {
#pragma unroll
            for (int t = 0; t < NT; t++) {
              const float2 bv = *(const float2*)&b[(p * NT + t) * 8 + q * 2];
#pragma unroll
              for (int m = 0; m < MT; m++) acc[m][t][0] = acc[m][t][2] = bv.x, acc[m][t][1] = acc[m][t][3] = bv.y;
            }
          };
          if (layer == 0) {
            bias(b0);
            const auto add = [&](int d) {  // coordinate d's part
              const float* w = w1 + d * W + p * NT * 8 + q * 2;
              float lo[MT], hi[MT];
#pragma unroll
              for (int m = 0; m < MT; m++) lo[m] = xs[(m * 16 + g) * D + d], hi[m] = xs[(m * 16 + g + 8) * D + d];
#pragma unroll
              for (int t = 0; t < NT; t++) {
                const float2 wv = *(const float2*)&w[t * 8];
#pragma unroll
                for (int m = 0; m < MT; m++) {
                  acc[m][t][0] = fmaf(wv.x, lo[m], acc[m][t][0]), acc[m][t][1] = fmaf(wv.y, lo[m], acc[m][t][1]);
                  acc[m][t][2] = fmaf(wv.x, hi[m], acc[m][t][2]), acc[m][t][3] = fmaf(wv.y, hi[m], acc[m][t][3]);
                }
              }
            };
            if constexpr (SMALL) {  // at most two, without the cost of a loop
              add(0);
              if (D > 1) add(1);
            } else {
#pragma unroll 1
              for (int d = 0; d < D; d++) add(d);
            }
          } else {
            bias(sb + (layer - 1) * W);
            const uint4* wl = (const uint4*)fr + (size_t)(layer - 1) * KT * KT * 32 + lane;
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
          }
          // the branches are the same for all threads
          if (act == ACT_SILU) activate_pass<ACT_SILU, MT, NT>(acc);
          else if (act == ACT_GELU) activate_pass<ACT_GELU, MT, NT>(acc);
          else activate_pass<ACT_TANH, MT, NT>(acc);
          if (net.residual && layer) pack_pass<true, MT, NT, KT>(acc, a, out, p * (NT / 2));
          else pack_pass<false, MT, NT, KT>(acc, a, out, p * (NT / 2));
        }
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
          for (int kt = 0; kt < KT; kt++)
#pragma unroll
            for (int e = 0; e < 4; e++) a[m][kt][e] = out[m][kt][e];
      }
      // head: xs takes the outputs
      __syncwarp();
      for (int nt = 0; nt < H; nt++) {
        const int o = nt * 8 + q * 2;
        const uint4* hl = (const uint4*)hfrag + nt * KT * 32 + lane;
        float acc[MT][2][4];  // by the two parts of the weights
#pragma unroll
        for (int m = 0; m < MT; m++) {
          acc[m][0][0] = acc[m][0][2] = hb[o], acc[m][0][1] = acc[m][0][3] = hb[o + 1];
          acc[m][1][0] = acc[m][1][1] = acc[m][1][2] = acc[m][1][3] = 0.0f;
        }
#pragma unroll
        for (int kt = 0; kt < KT; kt++) {
          const uint4 hf = hl[kt * 32];
#pragma unroll
          for (int m = 0; m < MT; m++) {
            mma_f16(acc[m][0], a[m][kt], hf.x, hf.y);
            mma_f16(acc[m][1], a[m][kt], hf.z, hf.w);
          }
        }
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
          for (int i = 0; i < 4; i++)
            if (o + (i & 1) < D) xs[(m * 16 + g + 8 * (i >> 1)) * D + o + (i & 1)] = acc[m][0][i] + acc[m][1][i];
      }
      __syncwarp();
      const Row rw = rows[r];
#pragma unroll
      for (int m = 0; m < MT; m++) {
        Normals normals(seed, stream, first + (uint64_t)(row + 16 * m));
#pragma unroll 1
        for (int d = sd; d < D; d += 2) {
          const float z = rw.c != 0.0f || rw.j != 0.0f ? normals(rw.step, D, d) : 0.0f;
          state[m].step(rw, d, xs[(m * 16 + sn) * D + d], z);
        }
      }
    }
#pragma unroll
    for (int m = 0; m < MT; m++) state[m].finish(sd);
  }
}

#define SAMPLER_F16(name, KT, NT, MT, WS, SMALL, THREADS)                                                                \
  extern "C" __global__ void __launch_bounds__(THREADS, 1) name(Net net, const unsigned* frags, const float* blob,       \
      const float* bias0, float scale, const Row* rows, int nrows, float* x, float* mem, int n, unsigned long long seed, unsigned stream, unsigned long long first) { \
    sampler_f16_body<KT, NT, MT, WS, SMALL>(net, frags, blob, bias0, scale, rows, nrows, x, mem, n, seed, stream, first);    \
  }                                                                                                                      \
  KERNEL(name)
SAMPLER_F16(sampler_f16_w64_shared_d2, 4, 8, 2, true, true, 256)
SAMPLER_F16(sampler_f16_w64_shared_d32, 4, 8, 2, true, false, 256)
SAMPLER_F16(sampler_f16_w64_stream, 4, 8, 2, false, false, 256)
SAMPLER_F16(sampler_f16_w128_shared_d2, 8, 8, 2, true, true, 256)
SAMPLER_F16(sampler_f16_w128_shared_d32, 8, 8, 2, true, false, 256)
SAMPLER_F16(sampler_f16_w128_stream, 8, 4, 2, false, false, 256)
SAMPLER_F16(sampler_f16_w256_stream, 16, 4, 1, false, false, 256)
