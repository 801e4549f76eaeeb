// The fused reverse-time sampler in float32: one launch integrates the whole trajectory of every sample.
//
// A warp integrates 16 samples, with all units of a layer; lane = tn + 16 tm holds samples 8 tm .. 8 tm + 7 of units tn + 16 j. A layer is
// a product of 128 (or 64) units at a time with the activations in a private slab [unit][20] of shared memory (16
// samples and 4 floats of skew, which keeps 16-byte stores free of bank conflicts), so the time loop has no block
// barrier. WS: all weights lie in shared memory; otherwise they stream from L2.
#include "state.cuh"

enum { SLAB = 20 };  // floats of a slab row

// acc[j][i] += sum over STEP inputs of w[k][unit j] in[k][sample i].
template <int J, int STEP>
__device__ __forceinline__ void multiply(float acc[J][8], const float* __restrict__ w, int width, const float* in) {
#pragma unroll
  for (int q = 0; q < STEP; q++) {
    float a[8], bb[J];
    *(float4*)&a[0] = *(const float4*)&in[q * SLAB];
    *(float4*)&a[4] = *(const float4*)&in[q * SLAB + 4];
#pragma unroll
    for (int v = 0; v < J / 4; v++) *(float4*)&bb[4 * v] = *(const float4*)&w[q * width + 64 * v];
#pragma unroll
    for (int j = 0; j < J; j++)
#pragma unroll
      for (int i = 0; i < 8; i++) acc[j][i] = fmaf(a[i], bb[j], acc[j][i]);
  }
}

// One pass of a dense layer: units u0 .. u0 + 16 J of the layer, acc[j][i] = bias + sum over k inputs; all but the first
// layer's are a multiple of 4.
template <int J>
__device__ __forceinline__ void dense_pass(float acc[J][8], const float* __restrict__ w, int width, const float* in, int k, bool first, const float* __restrict__ bias, int u0, int tn, int tm) {
#pragma unroll
  for (int j = 0; j < J; j++) {
    const float b = bias[u0 + tn + 16 * j];
#pragma unroll
    for (int i = 0; i < 8; i++) acc[j][i] = b;
  }
  const float* wp = w + u0 + tn * 4;
  const float* ip = in + tm * 8;
  if (first) {
#pragma unroll 1
    do multiply<J, 1>(acc, wp, width, ip), ip += SLAB, wp += width;
    while (--k > 0);
  } else {
#pragma unroll 1
    do multiply<J, 4>(acc, wp, width, ip), ip += 4 * SLAB, wp += 4 * width;
    while ((k -= 4) > 0);
  }
}

template <int ACT, int J>
__device__ __forceinline__ void activate_pass(float acc[J][8]) {
#pragma unroll
  for (int j = 0; j < J; j++)
#pragma unroll
    for (int i = 0; i < 8; i++) acc[j][i] = activate<ACT>(acc[j][i]);
}

// Activation (and residual) of a pass, stored to the out slab. The branches are the same for all threads.
template <int J>
__device__ __forceinline__ void store_pass(float acc[J][8], int act, float* out, const float* in, bool residual, int u0, int tn, int tm) {
  if (act == ACT_SILU) activate_pass<ACT_SILU, J>(acc);
  else if (act == ACT_GELU) activate_pass<ACT_GELU, J>(acc);
  else activate_pass<ACT_TANH, J>(acc);
#pragma unroll
  for (int j = 0; j < J; j++) {
    const int u = u0 + tn + 16 * j;
    if (residual) {
#pragma unroll
      for (int i = 0; i < 8; i++) acc[j][i] += in[u * SLAB + tm * 8 + i];
    }
    *(float4*)&out[u * SLAB + tm * 8] = *(float4*)&acc[j][0];
    *(float4*)&out[u * SLAB + tm * 8 + 4] = *(float4*)&acc[j][4];
  }
}

// Floats of shared memory a warp needs: the slab of the scaled state and one slab of activations, or two where a layer
// takes several passes.
__device__ __forceinline__ int warp_floats(int width, int d) { return ((width > 128 ? 2 : 1) * width + d) * SLAB; }

// SMALL: at most two dimensions, one to each half of the warp; see State.
template <bool WS, bool SMALL>
__device__ __forceinline__ void sampler_fp32_body(const Net& net, int weights, const float* __restrict__ blob, const float* __restrict__ bias0,
                                                  const Row* __restrict__ rows, int nrows, float* __restrict__ x, float* __restrict__ mem,
                                                  int n, uint64_t seed, uint32_t stream, uint64_t first) {
  EXTERN_SHARED(float, sm);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5, tn = lane & 15, tm = lane >> 4;
  const int width = net.width, D = net.d;
  if (WS) {
    for (int i = threadIdx.x; i < weights; i += blockDim.x) sm[i] = blob[i];
    __syncthreads();
  }
  const float* w = WS ? sm : blob;
  float* slab0 = sm + (WS ? weights : 0) + warp * warp_floats(width, D);
  float* slab1 = width > 128 ? slab0 + width * SLAB : slab0;
  float* xs = slab1 + width * SLAB;  // [D][SLAB]
  const int tiles = (n + 15) / 16;
  for (int tile = blockIdx.x + warp * gridDim.x; tile < tiles; tile += gridDim.x * warps) {
    // this lane's part of the state: sample tn of the tile, coordinates tm, tm + 2, ...
    const int row = tile * 16 + tn;
    State<SMALL> state;
    state.begin(x, mem, row, n, D, tm);
    Normals normals(seed, stream, first + (uint64_t)row);
    for (int r = 0; r < nrows; r++) {
      const Row rw = rows[r];
      __syncwarp();
      for (int d = tm; d < D; d += 2) xs[d * SLAB + tn] = rw.cin * state.at(d);
      __syncwarp();
      const float* in = xs;
      float* out = slab0;
      int k = D;
      for (int layer = 0; layer < net.hidden; layer++) {
        const float* b = layer ? w + net.b[layer] : bias0 + (size_t)r * width;
        int u0 = 0;
        for (; u0 + 128 <= width; u0 += 128) {
          float acc[8][8];
          dense_pass<8>(acc, w + net.w[layer], width, in, k, layer == 0, b, u0, tn, tm);
          __syncwarp();  // with one slab, out is in
          store_pass<8>(acc, net.act, out, in, net.residual && layer, u0, tn, tm);
        }
        if (u0 < width) {
          float acc[4][8];
          dense_pass<4>(acc, w + net.w[layer], width, in, k, layer == 0, b, u0, tn, tm);
          __syncwarp();
          store_pass<4>(acc, net.act, out, in, net.residual && layer, u0, tn, tm);
        }
        __syncwarp();
        in = out;
        out = out == slab0 ? slab1 : slab0;
        k = width;
      }
      // head: this lane's coordinates of its sample
      const float* hw = w + net.head;
      const float* hb = hw + width * D;
#pragma unroll 1
      for (int d = tm; d < D; d += 2) {
        float s0 = hb[d], s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
        const float* hp = hw + d;
#pragma unroll 4
        for (int kk = 0; kk < width; kk += 4) {
          s0 = fmaf(in[kk * SLAB + tn], hp[kk * D], s0);
          s1 = fmaf(in[(kk + 1) * SLAB + tn], hp[(kk + 1) * D], s1);
          s2 = fmaf(in[(kk + 2) * SLAB + tn], hp[(kk + 2) * D], s2);
          s3 = fmaf(in[(kk + 3) * SLAB + tn], hp[(kk + 3) * D], s3);
        }
        const float z = rw.c != 0.0f || rw.j != 0.0f ? normals(rw.step, D, d) : 0.0f;
        state.step(rw, d, (s0 + s1) + (s2 + s3), z);
      }
    }
    state.finish(tm);
  }
}

#define SAMPLER_FP32(name, WS, SMALL)                                                                                      \
  extern "C" __global__ void __launch_bounds__(256, 1) name(Net net, int weights, const float* blob, const float* bias0, \
      const Row* rows, int nrows, float* x, float* mem, int n, unsigned long long seed, unsigned stream, unsigned long long first) { \
    sampler_fp32_body<WS, SMALL>(net, weights, blob, bias0, rows, nrows, x, mem, n, seed, stream, first);                    \
  }                                                                                                                      \
  KERNEL(name)
SAMPLER_FP32(sampler_fp32_shared_d2, true, true)
SAMPLER_FP32(sampler_fp32_shared_d32, true, false)
SAMPLER_FP32(sampler_fp32_stream, false, false)
