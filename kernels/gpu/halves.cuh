// Numbers as sums of two halves (f16), for the samplers: x = hi + lo to 22 bits.
#pragma once
#include "mma.cuh"

// What the weights are multiplied by, powers of two: [0] the head's, [i] those of layer i; mirrored by cuda/chains/sampler_split.go.
struct SplitScale { float w[MAX_LAYERS]; };

// Two numbers as halves, and what is left of them.
__device__ __forceinline__ void split_f16(float a, float b, uint32_t* hi, uint32_t* lo) {
  float x, y;
  *hi = pack_f16(a, b);
  unpack_f16(*hi, &x, &y);
  *lo = pack_f16(a - x, b - y);
}
