// Vectors of neighbouring numbers, divisions by numbers that the host prepares, and activations by few instructions, for the kernels that memory bounds.
#pragma once
#include "net.cuh"

#ifndef __CUDACC__
inline double rsqrt(double x) { return 1 / sqrt(x); }
#endif

// Two or four numbers, from an address that is a multiple of their size and to one.
template <int V>
__device__ __forceinline__ void load_vector(float (&x)[V], const float* p) {
  if constexpr (V == 4) {
    const float4 v = *(const float4*)p;
    x[0] = v.x, x[1] = v.y, x[2] = v.z, x[3] = v.w;
  } else if constexpr (V == 2) {
    const float2 v = *(const float2*)p;
    x[0] = v.x, x[1] = v.y;
  } else {
    x[0] = *p;
  }
}
// A store of four is written as the instruction, because the compiler takes some of them apart. The compiler may move loads across it, so a kernel must not
// read what it stores so.
#ifdef __CUDACC__
__device__ __forceinline__ void store_quad(float* p, float a, float b, float c, float d) {
  asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(p), "f"(a), "f"(b), "f"(c), "f"(d));
}
#else
inline void store_quad(float* p, float a, float b, float c, float d) { *(float4*)p = float4{a, b, c, d}; }
#endif
template <int V>
__device__ __forceinline__ void store_vector(float* p, const float (&x)[V]) {
  if constexpr (V == 4) store_quad(p, x[0], x[1], x[2], x[3]);
  else if constexpr (V == 2) *(float2*)p = float2{x[0], x[1]};
  else *p = x[0];
}
template <int V>
__device__ __forceinline__ float vector_sum(const float (&x)[V]) {
  if constexpr (V == 4) return (x[0] + x[1]) + (x[2] + x[3]);
  else if constexpr (V == 2) return x[0] + x[1];
  else return x[0];
}

// n / d for n < 2^31 by the multiplier ceil(2^(31 + s)/d) with s = ceil(log2 d), and shift = s - 1: multiplier * d exceeds 2^(31 + s) by less than
// 2^s, so the error of the quotient is below n/2^31 of 1/d. A multiplier of 0 stands for d = 1. Mirrored by cuda/programs/walk.go.
__device__ __forceinline__ unsigned quotient(unsigned n, unsigned multiplier, int shift) { return multiplier ? __umulhi(n, multiplier) >> shift : n; }

// The functions of program_act, and their derivatives, to some roundings of the largest of one and the result: the exponential is that of a rounded product, so that its relative error
// grows with x as its weight in the result falls.
template <int ACT>
__device__ __forceinline__ float act_near(int act, float x) {
  if constexpr (ACT == ACT_IDENTITY) return x;
  if constexpr (ACT == ACT_SILU) return activate<ACT_SILU>(x);
  return program_act(act, x);
}
template <int ACT>
__device__ __forceinline__ float slope_near(int act, float x) {
  if constexpr (ACT == ACT_IDENTITY) return 1.0f;
  if constexpr (ACT == ACT_SILU) {
    const float v = clamp(x, 87.0f), s = sigmoid_fast(v);
    return fmaf(v * s, 1.0f - s, s);
  }
  return program_slope(act, x);
}
