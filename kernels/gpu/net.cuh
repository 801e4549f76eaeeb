// What the kernels of general programs share: reductions within a block or warp, and loops over elements. The programs' values are
// float32 arrays, the samples one after the other; an array that all samples share has the distance 0 from one sample to the next.
// Sums are made in a fixed order, in float64 where they are long.
#pragma once
#include "activations.cuh"

#define EACH(i, all) for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < (all); i += (long long)gridDim.x * blockDim.x)

// The activations of programs: those of activations.cuh and two more.
enum { ACT_GELU_TANH = 4, ACT_EXP = 5 };

__device__ __forceinline__ float program_act(int act, float x) {
  if (act == ACT_GELU_TANH) {  // half of 1 + tanh u is 1/(1 + e^-2u)
    const float v = clamp(x, 40.0f), u = 1.5957691216057308f * fmaf(0.044715f * v * v, v, v), e = expf(u < 0 ? u : -u), r = 1.0f / (1.0f + e);
    return x > v ? x : v * (u < 0 ? e * r : r);
  }
  if (act == ACT_EXP) return expf(x);
  return act_value(act, x, false, (float*)nullptr);
}

__device__ __forceinline__ float program_slope(int act, float x) {
  if (act == ACT_GELU_TANH) {
    const float v = clamp(x, 40.0f), u = 1.5957691216057308f * fmaf(0.044715f * v * v, v, v);
    float s, q;
    sigmoids(u, &s, &q);
    return s + v * s * q * 1.5957691216057308f * fmaf(0.134145f * v, v, 1.0f);
  }
  if (act == ACT_EXP) return expf(x);
  float d;
  act_value(act, x, true, &d);
  return d;
}

template <class T>
__device__ __forceinline__ T warp_sum(T v) {
#pragma unroll
  for (int m = 16; m; m >>= 1) v += __shfl_xor_sync(0xffffffffu, v, m);
  return v;
}

// The sum over all threads of a block, of whole warps, for each of them; scratch holds a number for each warp.
__device__ __forceinline__ double block_total(double v, double* scratch) {
  v = warp_sum(v);
  const int warps = blockDim.x / 32;
  __syncthreads();
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = v;
  __syncthreads();
  double s = 0;
  for (int i = 0; i < warps; i++) s += scratch[i];
  return s;
}
