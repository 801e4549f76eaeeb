// The rate of products of m16n8 in registers: what `inspect --bench` compares a network's products with.
#include "net_mma.cuh"

// Eight independent sums in each warp, `rounds` times. In F32 the three products that stand for one.
template <int ARITH>
__device__ __forceinline__ void peak(float* out, int rounds) {
  enum { SUMS = 8, HALVES = ARITH == ARITH_BF16 || ARITH == ARITH_F16 };
  float c[SUMS][4];
#pragma unroll
  for (int i = 0; i < SUMS; i++)
#pragma unroll
    for (int e = 0; e < 4; e++) c[i][e] = 0.0f;
  const uint32_t one = HALVES ? pack_halves<ARITH>(1.0f, 1.0f) : to_tf32(1.0f), a[4] = {one, one, one, one};
#pragma unroll 1
  for (int r = 0; r < rounds; r++)
#pragma unroll
    for (int t = 0; t < (ARITH == ARITH_F32 ? 3 : 1); t++)
#pragma unroll
      for (int i = 0; i < SUMS; i++) {
        if (HALVES) mma_halves<ARITH>(c[i], a, one, one);
        else mma_tf32(c[i], a, one, one);
      }
  float s = 0.0f;
#pragma unroll
  for (int i = 0; i < SUMS; i++) s += c[i][0] + c[i][1] + c[i][2] + c[i][3];
  out[(long long)blockIdx.x * blockDim.x + threadIdx.x] = s;
}

#define PEAK(arith, ARITH)                                                                                                 \
  extern "C" __global__ void __launch_bounds__(256, 2) net_peak_##arith(float* out, int rounds) { peak<ARITH>(out, rounds); } \
  KERNEL(net_peak_##arith)

PEAK(f32, ARITH_F32)
PEAK(tf32, ARITH_TF32)
PEAK(bf16, ARITH_BF16)
PEAK(f16, ARITH_F16)
