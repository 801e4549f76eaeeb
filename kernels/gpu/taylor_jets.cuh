#pragma once
// Polynomials in two variables, and activations of them: what the Taylor jets of taylor.cu are made of. Coefficient (a, b) of x^a y^b, by
// degree.

__device__ __forceinline__ constexpr int jet_size(int degree) { return (degree + 1) * (degree + 2) / 2; }
__device__ __forceinline__ constexpr int jet_at(int a, int b) { return (a + b) * (a + b + 1) / 2 + b; }

__device__ __forceinline__ float exponential(float x) { return expf(x); }
__device__ __forceinline__ double exponential(double x) { return exp(x); }
__device__ __forceinline__ float normal_cdf(float x) { return 0.5f * erfcf(-0.70710678118654752f * x); }
__device__ __forceinline__ double normal_cdf(double x) { return 0.5 * erfc(-0.70710678118654752440 * x); }
__device__ __forceinline__ float hyperbolic_tangent(float x) { return tanhf(x); }
__device__ __forceinline__ double hyperbolic_tangent(double x) { return tanh(x); }

// c[k] = f^(k)(x)/k! for k <= N, by the recurrences of simd.Act.Taylor.
template <class T, int N>
__device__ __forceinline__ void activation_series(T c[N + 1], int act, T x) {
  const T bound = x > T(750) ? T(750) : x < T(-750) ? T(-750) : x;  // the asymptotes, without Inf times 0; NaN stays
  T g[N + 1];
  if (act == ACT_TANH) {
    c[0] = hyperbolic_tangent(bound);
    if (N == 0) return;
    const T e = exponential(T(-2) * fabs(bound)), r = T(1) / (T(1) + e);
    c[N > 0] = fabs(c[0]) < T(0.5) ? T(1) - c[0] * c[0] : T(4) * e * r * r;
#pragma unroll
    for (int k = 1; k < N; k++) {
      T s = T(0);
#pragma unroll
      for (int i = 0; i <= k; i++) s -= c[i] * c[k - i];
      c[k + 1] = s * T(1.0 / (k + 1));
    }
    return;
  }
  if (act == ACT_SILU) {
    const T e = exponential(-fabs(bound)), r = T(1) / (T(1) + e);
    const T s = bound < T(0) ? e * r : r, q = bound < T(0) ? r : e * r;  // the sigmoid and its complement
    g[0] = s;
    if (N > 0) g[N > 0] = s * q;
#pragma unroll
    for (int k = 1; k < N; k++) {
      T t = g[k] * (q - s);
#pragma unroll
      for (int i = 1; i < k; i++) t -= g[i] * g[k - i];
      g[k + 1] = t * T(1.0 / (k + 1));
    }
  } else {
    g[0] = normal_cdf(bound);
    T p = T(0.39894228040143267794) * exponential(T(-0.5) * bound * bound), last = T(0);
#pragma unroll
    for (int k = 0; k < N; k++) {
      g[k + 1] = p * T(1.0 / (k + 1));
      const T next = (bound * p + last) * T(-1.0 / (k + 1));
      last = p;
      p = next;
    }
  }
  c[0] = bound == x ? x * g[0] : x > T(0) ? x : x < T(0) ? T(0) : x;
#pragma unroll
  for (int k = 1; k <= N; k++) c[k] = fma(bound, g[k], g[k - 1]);
}

// r = f(x + delta) for the polynomial x of degree N, by Horner's scheme; c is the series of f at x[0]. Degrees go down, so
// that each coefficient is computed from those of lower degree before they change.
template <class T, int N>
__device__ __forceinline__ void compose(T r[], const T c[N + 1], const T x[]) {
  r[0] = c[N];
#pragma unroll
  for (int step = 1; step <= N; step++) {
#pragma unroll
    for (int m = step; m >= 1; m--)
#pragma unroll
      for (int b = 0; b <= m; b++) {
        T sum = T(0);
#pragma unroll
        for (int i = 0; i <= m - b; i++)
#pragma unroll
          for (int j = 0; j <= b; j++)
            if (i + j > 0) sum = fma(x[jet_at(i, j)], r[jet_at(m - b - i, b - j)], sum);
        r[jet_at(m - b, b)] = sum;
      }
    r[0] = c[N - step];
  }
}
