// One layer of a network for any number of rows: a product with its epilogue, in float32 and float64.
#include "activations.cuh"
#include "gemm_f64.cuh"

// act_value; SiLU in float32 by the special-function unit, good to a few units in the last place.
template <class T>
__device__ __forceinline__ T layer_value(int act, T x, bool slope, T* d) { return act_value(act, x, slope, d); }
__device__ __forceinline__ float layer_value(int act, float x, bool slope, float* d) {
  if (act != ACT_SILU) return act_value(act, x, slope, d);
  const float v = clamp(x, 750.0f), s = sigmoid_fast(v);
  if (slope) *d = s + v * s * sigmoid_fast(-v);
  return x > v ? x : v * s;
}

// What a launch computes, for m < M and n < N, mirrored by cuda/exec/general_dense.go. With G = m / group:
//
//   s = sum_k a(m, k) b(k, n)   + c(m, n) if accumulate   + bias(G, n) if m is the first row of its group
//   slope(m, n) = f'(s)
//   c(m, n) = f(s) mul(G, n) + add(m, n)
//
// A null pointer leaves its term out. Groups: the rows of one sample where it has several (directions, coefficients of an
// expansion); slope is written where group = 1.
template <class T>
struct Dense {
  Matrix<T> a, b;
  T* c;
  int64_t c_row;
  const T* bias;
  int64_t bias_row;  // 0: the same for all
  const T* mul;
  int64_t mul_row;
  const T* add;
  int64_t add_row;
  T* slope;
  int64_t slope_row;
  int M, N, K, group, act, accumulate;

  // The epilogue of row m: what depends on m alone is done once.
  struct Row {
    T *out, *slope;
    const T *bias, *mul, *add;
    int act;
    bool accumulate;
    __device__ __forceinline__ void operator()(int n, T s) const {
      if (accumulate) s += out[n];
      if (bias) s += bias[n];
      T d = 1;
      s = layer_value(act, s, slope != nullptr, &d);
      if (slope) slope[n] = d;
      if (mul) s *= mul[n];
      if (add) s += add[n];
      out[n] = s;
    }
  };
  __device__ __forceinline__ Row row(int m) const {
    const int g = group == 1 ? m : m / group;
    return Row{c + m * c_row, slope ? slope + m * slope_row : nullptr, bias && g * group == m ? bias + g * bias_row : nullptr,
               mul ? mul + g * mul_row : nullptr, add ? add + m * add_row : nullptr, act, accumulate != 0};
  }
};

template <class Tile, class T>
__device__ __forceinline__ void dense(const Dense<T>& q) {
  EXTERN_SHARED(uint4, shared);  // one type for all instances
  const int columns = (q.N + Tile::BN - 1) / Tile::BN;
  gemm_tile<Tile>(blockIdx.x / columns, blockIdx.x % columns, q.M, q.N, q.K, q.a, q.b, (T*)shared, q);
}

#define DENSE(name, Tile, BLOCKS)                                                                                  \
  extern "C" __global__ void __launch_bounds__(256, BLOCKS) name(Dense<typename Tile::Element> q) { dense<Tile>(q); } \
  KERNEL(name)
DENSE(dense_f32_large, TileF32Large, 2)
DENSE(dense_f32_small, TileF32Small, 3)
DENSE(dense_f32_narrow, TileF32Narrow, 3)
DENSE(dense_f64_narrow, TileF64Narrow, 2)

extern "C" __global__ void __launch_bounds__(128, 3) dense_f64_tensor(Dense<double> q) {
  EXTERN_SHARED(uint4, operands);
  const int columns = (q.N + TileF64Tensor::BN - 1) / TileF64Tensor::BN;
  gemm_tensor_tile<TileF64Tensor>(blockIdx.x / columns, blockIdx.x % columns, q.M, q.N, q.K, q.a, q.b, (double*)operands, q);
}
KERNEL(dense_f64_tensor)

// The epilogue alone, where a library made the sums: c holds them.
template <class T>
__device__ __forceinline__ void finish(const Dense<T>& q) {
  const int64_t all = (int64_t)q.M * q.N, step = (int64_t)gridDim.x * blockDim.x;
  for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) {
    const int m = (int)(i / q.N), n = (int)(i % q.N);
    q.row(m)(n, q.c[m * q.c_row + n]);
  }
}
extern "C" __global__ void __launch_bounds__(256) dense_finish_f32(Dense<float> q) { finish(q); }
KERNEL(dense_finish_f32)
extern "C" __global__ void __launch_bounds__(256) dense_finish_f64(Dense<double> q) { finish(q); }
KERNEL(dense_finish_f64)
