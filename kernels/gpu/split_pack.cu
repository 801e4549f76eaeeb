// Packs a network's hidden layers for split.cuh.
#include "split.cuh"

// Hidden layers 1.. as the fragments of products; one thread a word of hi.
template <int W>
__device__ __forceinline__ void pack_split(const Net& net, const SplitNet& s, const float* __restrict__ blob, uint32_t* __restrict__ words) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const int per = layer_words<W>() / 2, layer = 1 + i / per, at = i % per;
  if (layer >= net.hidden) return;
  const int j = at & 3, lane = at >> 2 & 31, pair = at >> 7, tiles = W / 16;
  const int unit = (pair % tiles * 2 + (j >> 1)) * 8 + (lane >> 2), k = pair / tiles * 16 + (lane & 3) * 2 + (j & 1) * 8;
  const float* w = blob + net.w[layer] + unit_slot(unit);
  uint32_t* to = words + (layer - 1) * layer_words<W>() + pair * 256 + lane * 4 + j;
  split(w[k * W] * s.scale[layer], w[(k + 1) * W] * s.scale[layer], to, to + 128);
}

#define PACK_SPLIT(name, W)                                                                                        \
  extern "C" __global__ void __launch_bounds__(256) name(Net net, SplitNet s, const float* blob, uint32_t* words) { \
    pack_split<W>(net, s, blob, words);                                                                            \
  }                                                                                                                \
  KERNEL(name)
PACK_SPLIT(split_pack_w64, 64)
PACK_SPLIT(split_pack_w128, 128)
