// Arrays of programs that are bf16 in memory, because all that reads them rounds them to it: see cuda/programs/halves.go.
#pragma once
#include "net_mma.cuh"
#include "net_vectors.cuh"

// Stores four numbers at number `at` of a float32 array, or of a bf16 one.
__device__ __forceinline__ void store_numbers(float* p, long long at, const float (&x)[4], bool halves) {
  if (halves) *(uint2*)((uint16_t*)p + at) = uint2{pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3])};
  else store_vector(p + at, x);
}
