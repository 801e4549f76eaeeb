// The arithmetic of programs' products: factors rounded to tf32, bf16 or f16, products of m16n8 on tensor cores, sums in float32.
//
// F32 multiplies the parts of numbers that two tf32 hold together (22 bits), three products for one, and adds up the sums of 16
// steps in float32 (Ootomo and Yokota 2022, arXiv:2203.03341; tf32 has float32's range, so nothing over- or underflows). TF32 rounds
// both factors to 11 bits, BF16 to 8. F16 rounds them to 11 bits too; a factor from 65520 on in size becomes infinite, and one below 2^-14 has an error of up to 2^-25.
#pragma once
#include "async.cuh"
#include "mma.cuh"
#include "net.cuh"

enum { ARITH_F32, ARITH_TF32, ARITH_BF16, ARITH_F16 };

#ifdef __CUDACC__
__device__ __forceinline__ uint32_t to_tf32(float x) {
  uint32_t y;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ float from_tf32(uint32_t x) { return __uint_as_float(x); }
__device__ __forceinline__ uint32_t pack_bf16(float lo, float hi) {
  uint32_t d;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(hi), "f"(lo));
  return d;
}
// m16n8k8. With g = lane / 4 and q = lane % 4: a0 (row g, k q), a1 (row g + 8, k q), a2, a3 the same at k q + 4; b0 (k q, column g), b1 (k q + 4).
__device__ __forceinline__ void mma_tf32(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
// m16n8k16, with the fragments of mma_f16.
__device__ __forceinline__ void mma_bf16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif

// Two numbers as the halves of a word, and the product of m16n8k16 of such words, in BF16 or F16.
template <int ARITH>
__device__ __forceinline__ uint32_t pack_halves(float lo, float hi) {
  if constexpr (ARITH == ARITH_F16) return pack_f16(lo, hi);
  else return pack_bf16(lo, hi);
}
template <int ARITH>
__device__ __forceinline__ void mma_halves(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
  if constexpr (ARITH == ARITH_F16) mma_f16(c, a, b0, b1);
  else mma_bf16(c, a, b0, b1);
}
