// Tensor-core wrappers: m16n8k16, f16 in, float32 accumulators. With g = lane/4 and q = lane%4, lane holds
//   A: a0 (row g, k 2q..2q+1), a1 (row g+8, same k), a2 (row g, k 2q+8..), a3 (row g+8, k 2q+8..)
//   B: b0 (k 2q..2q+1, column g), b1 (k 2q+8.., column g)
//   C: c0, c1 (row g, columns 2q, 2q+1), c2, c3 (row g+8, same columns)
// so the accumulators of two neighbouring column tiles, packed to f16, are the A fragment of the next product.
#pragma once
#include "device.cuh"

#ifdef __CUDACC__
__device__ __forceinline__ uint32_t pack_f16(float lo, float hi) {
  uint32_t d;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(hi), "f"(lo));
  return d;
}
__device__ __forceinline__ void unpack_f16(uint32_t v, float* lo, float* hi) {
  asm("{ .reg .f16 a, b;\n mov.b32 {a, b}, %2;\n cvt.f32.f16 %0, a;\n cvt.f32.f16 %1, b; }" : "=f"(*lo), "=f"(*hi) : "r"(v));
}
__device__ __forceinline__ void mma_f16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// m16n8k8 in float64: lane holds
//   a[0] (row g, k q), a[1] (row g+8, k q), a[2] (row g, k q+4), a[3] (row g+8, k q+4)
//   b0 (k q, column g), b1 (k q+4, column g)
//   c[0], c[1] (row g, columns 2q, 2q+1), c[2], c[3] (row g+8, same columns)
// Hopper has it as one instruction; elsewhere it is four of m8n8k4, whose fragments are parts of these.
__device__ __forceinline__ void mma_f64(double c[4], const double a[4], double b0, double b1) {
#if __CUDA_ARCH__ >= 900
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f64.f64.f64.f64 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+d"(c[0]), "+d"(c[1]), "+d"(c[2]), "+d"(c[3])
               : "d"(a[0]), "d"(a[1]), "d"(a[2]), "d"(a[3]), "d"(b0), "d"(b1));
#else
#pragma unroll
  for (int i = 0; i < 4; i++)
    asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1}, {%2}, {%3}, {%0,%1};"
                 : "+d"(c[i % 2 * 2]), "+d"(c[i % 2 * 2 + 1])
                 : "d"(a[i]), "d"(i < 2 ? b0 : b1));
#endif
}
#endif
