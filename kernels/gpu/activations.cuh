// Activations and their derivatives to the accuracy of the element type, as package simd defines them (Act.Eval,
// Act.Taylor): infinite arguments give the limits, NaN gives NaN.
#pragma once
#include "device.cuh"

enum { ACT_IDENTITY = 0 };  // the others are in device.cuh

__device__ __forceinline__ float exp_of(float x) { return expf(x); }
__device__ __forceinline__ double exp_of(double x) { return exp(x); }
__device__ __forceinline__ float erfc_of(float x) { return erfcf(x); }
__device__ __forceinline__ double erfc_of(double x) { return erfc(x); }
__device__ __forceinline__ float tanh_of(float x) { return tanhf(x); }
__device__ __forceinline__ double tanh_of(double x) { return tanh(x); }

// x cut to +-limit; NaN stays.
template <class T>
__device__ __forceinline__ T clamp(T x, T limit) { return x > limit ? limit : x < -limit ? -limit : x; }

// sigma(x) and 1 - sigma(x), neither by cancellation.
template <class T>
__device__ __forceinline__ void sigmoids(T x, T* s, T* q) {
  const T e = exp_of(x < 0 ? x : -x), big = 1 / (1 + e), small = e * big;
  *s = x < 0 ? small : big, *q = x < 0 ? big : small;
}

// tanh'(x) = 4e/(1+e)^2 with e = exp(-2|x|).
template <class T>
__device__ __forceinline__ T tanh_slope(T x) {
  const T e = exp_of(x < 0 ? 2 * x : -2 * x), r = 1 / (1 + e);
  return 4 * e * r * r;
}

template <class T> __device__ __forceinline__ T sqrt_half() { return T(0.70710678118654752440); }
template <class T> __device__ __forceinline__ T normal_density(T x) { return T(0.39894228040143267794) * exp_of(T(-0.5) * x * x); }

// f(x) and, if slope, f'(x). The switch is uniform: act is the same for all threads of a launch.
template <class T>
__device__ __forceinline__ T act_value(int act, T x, bool slope, T* d) {
  switch (act) {
    case ACT_SILU: {
      const T v = clamp(x, T(750));
      T s, q;
      sigmoids(v, &s, &q);
      if (slope) *d = s + v * s * q;
      return x > v ? x : v * s;
    }
    case ACT_GELU: {
      const T v = clamp(x, T(40)), p = T(0.5) * erfc_of(-v * sqrt_half<T>());
      if (slope) *d = p + v * normal_density(v);
      return x > v ? x : v * p;
    }
    case ACT_TANH:
      if (slope) *d = tanh_slope(x);
      return tanh_of(x);
  }
  if (slope) *d = 1;
  return x;
}

// c[k] = f^(k)(x) / k! for k <= ORDER. SiLU and GELU are x g(x), so c_k = x g_k + g_{k-1}, with
// (k+1) s_{k+1} = s_k - sum s_i s_{k-i} for the sigmoid, and phi' = -x phi for the normal density; tanh' = 1 - tanh^2.
template <int ORDER, class T>
__device__ __forceinline__ void act_taylor(int act, T x, T (&c)[ORDER + 1]) {
  T g[ORDER + 1];
  if (act == ACT_SILU) {
    const T v = clamp(x, T(750));
    T s, q;
    sigmoids(v, &s, &q);
    g[0] = s;
#pragma unroll
    for (int k = 0; k < ORDER; k++) {
      T t = k ? g[k] * (q - s) : s * q;
#pragma unroll
      for (int i = 1; i < k; i++) t -= g[i] * g[k - i];
      g[k + 1] = t * T(1.0 / (k + 1));
    }
    c[0] = x > v ? x : v * s;
#pragma unroll
    for (int k = 1; k <= ORDER; k++) c[k] = v * g[k] + g[k - 1];
  } else if (act == ACT_GELU) {
    const T v = clamp(x, T(40));
    g[0] = T(0.5) * erfc_of(-v * sqrt_half<T>());
    T p = normal_density(v), last = 0;
#pragma unroll
    for (int k = 0; k < ORDER; k++) {
      g[k + 1] = p * T(1.0 / (k + 1));
      const T next = -(v * p + last) * T(1.0 / (k + 1));
      last = p, p = next;
    }
    c[0] = x > v ? x : v * g[0];
#pragma unroll
    for (int k = 1; k <= ORDER; k++) c[k] = v * g[k] + g[k - 1];
  } else if (act == ACT_TANH) {
    c[0] = tanh_of(x);
    if (ORDER > 0) c[1] = tanh_slope(x);
#pragma unroll
    for (int k = 1; k < ORDER; k++) {
      T s = 0;
#pragma unroll
      for (int i = 0; i <= k; i++) s -= c[i] * c[k - i];
      c[k + 1] = s * T(1.0 / (k + 1));
    }
  } else {
    c[0] = x;
#pragma unroll
    for (int k = 1; k <= ORDER; k++) c[k] = T(k == 1);
  }
}
