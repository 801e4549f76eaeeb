// One layer of a network with half-precision operands and float32 sums: layers on the input (float32 operands) to halves, all
// others on tensor cores.
#include "gemm.cuh"
#include "gemm_f16.cuh"

// With s = sum_k a(m, k) b(n, k) + bias(m, n): out(m, n) = f(s) + add(m, n), in float32 if out32 is there, else in halves,
// whose rows have zeros behind N up to a multiple of 8. Mirrored by cuda/exec/general_f16.go. bias_row 0: one bias for all.
struct DenseF16 {
  const uint16_t *a, *b;
  int64_t a_row, b_row;
  Matrix<float> a32, b32;  // in place of a and b for layers on the input
  uint16_t* out;
  float* out32;
  int64_t out_row;
  const float* bias;
  int64_t bias_row;
  const uint16_t* add;
  int64_t add_row;
  const float* sums;  // of finish
  int M, N, K, act;

  // Fast versions: their errors are below those of rounding to halves.
  __device__ __forceinline__ float value(float s) const {
    switch (act) {
      case ACT_SILU: return fmaf(0.5f * s, tanh_fast(0.5f * s), 0.5f * s);
      case ACT_GELU: return activate<ACT_GELU>(s);
      case ACT_TANH: return tanh_fast(s);
    }
    return s;
  }
  __device__ __forceinline__ int padded() const { return (N + 7) & ~7; }
  __device__ __forceinline__ float half_at(const uint16_t* p) const {
    float lo, hi;
    unpack_f16(*p, &lo, &hi);
    return lo;
  }
  __device__ __forceinline__ void operator()(int m, int n, float s0, float s1) const {
    float v[2] = {s0, s1};
#pragma unroll
    for (int e = 0; e < 2; e++) {
      if (n + e >= N) {
        v[e] = 0.0f;
        continue;
      }
      v[e] = value(v[e] + bias[m * bias_row + n + e]);
      if (add) v[e] += half_at(&add[m * add_row + n + e]);
      if (out32) out32[m * out_row + n + e] = v[e];
    }
    if (out) *(uint32_t*)&out[m * out_row + n] = pack_f16(v[0], v[1]);
  }
};

template <class Tile>
__device__ __forceinline__ void dense_f16(const DenseF16& q) {
  EXTERN_SHARED(uint4, shared);
  const int columns = q.out ? q.padded() : q.N, tiles = (columns + Tile::BN - 1) / Tile::BN;
  gemm_f16_tile<Tile>(blockIdx.x / tiles, blockIdx.x % tiles, q.M, q.N, columns, (q.K + 7) & ~7, q.a, q.a_row, q.b, q.b_row, (uint16_t*)shared, q);
}
extern "C" __global__ void __launch_bounds__(128, 2) dense_f16_large(DenseF16 q) { dense_f16<TileF16Large>(q); }
KERNEL(dense_f16_large)
extern "C" __global__ void __launch_bounds__(128, 4) dense_f16_narrow(DenseF16 q) { dense_f16<TileF16Narrow>(q); }
KERNEL(dense_f16_narrow)

// The epilogue of a product in float32: halves go one by one, the last column writes the zeros behind it.
struct EachF16 {
  const DenseF16& q;
  int m;
  __device__ __forceinline__ EachF16 row(int of) const { return EachF16{q, of}; }
  __device__ __forceinline__ void operator()(int n, float s) const {
    float v = q.value(s + q.bias[m * q.bias_row + n]);
    if (q.add) v += q.half_at(&q.add[m * q.add_row + n]);
    if (q.out32) q.out32[m * q.out_row + n] = v;
    if (!q.out) return;
    uint16_t* p = &q.out[m * q.out_row + n];
    *p = (uint16_t)pack_f16(v, 0.0f);
    if (n + 1 == q.N)
      for (int i = q.N; i < q.padded(); i++) *++p = 0;
  }
};

// A layer on the input.
extern "C" __global__ void __launch_bounds__(256, 3) dense_f16_first(DenseF16 q) {
  EXTERN_SHARED(uint4, operands);
  const int tiles = (q.N + TileF32Small::BN - 1) / TileF32Small::BN;
  gemm_tile<TileF32Small>(blockIdx.x / tiles, blockIdx.x % tiles, q.M, q.N, q.K, q.a32, q.b32, (float*)operands, EachF16{q, 0});
}
KERNEL(dense_f16_first)

// The epilogue alone, of sums (M x N) that a library made.
extern "C" __global__ void __launch_bounds__(256) dense_f16_finish(DenseF16 q) {
  const int64_t all = (int64_t)q.M * q.N, step = (int64_t)gridDim.x * blockDim.x;
  for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) EachF16{q, (int)(i / q.N)}((int)(i % q.N), q.sums[i]);
}
KERNEL(dense_f16_finish)

// Rows of float32 as rows of halves, zeros behind them up to a multiple of 8.
extern "C" __global__ void __launch_bounds__(256) halve_rows(unsigned short* dst, const float* src, int rows, int columns) {
  const int padded = (columns + 7) & ~7;
  const int64_t all = (int64_t)rows * padded, step = (int64_t)gridDim.x * blockDim.x;
  for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) {
    const int64_t r = i / padded, j = i % padded;
    dst[i] = j < columns ? (uint16_t)pack_f16(src[r * columns + j], 0.0f) : 0;
  }
}
KERNEL(halve_rows)
