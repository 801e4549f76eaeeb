// Arrays of programs that are bf16 or f16 in memory, because all that reads them rounds them to it: see cuda/programs/halves.go.
#pragma once
#include "net_mma.cuh"
#include "net_vectors.cuh"

enum { FLOATS, HALVES_BF16, HALVES_F16 };  // what an array is; mirrored by cuda/programs/halves.go

// Stores four numbers at number `at` of an array.
__device__ __forceinline__ void store_numbers(float* p, long long at, const float (&x)[4], int halves) {
  if (halves == HALVES_BF16) *(uint2*)((uint16_t*)p + at) = uint2{pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3])};
  else if (halves == HALVES_F16) *(uint2*)((uint16_t*)p + at) = uint2{pack_f16(x[0], x[1]), pack_f16(x[2], x[3])};
  else store_vector(p + at, x);
}
