// The state of a sampler: one lane's coordinates of one sample, and a row's effect on them.
#pragma once
#include "device.cuh"

// SMALL: a lane has at most one coordinate and keeps it in registers for the whole trajectory. Otherwise the state stays in
// device memory, which costs little beside a network of that many inputs. Lanes beyond the last sample hold zeros.
template <bool SMALL>
struct State {
  float *x, *mem;  // of the sample; mem may be null: then the rows do not use it
  bool live;
  float xc, mc;
  __device__ __forceinline__ void begin(float* xs, float* mems, int row, int n, int dims, int d) {
    x = xs + (size_t)row * dims, mem = mems ? mems + (size_t)row * dims : nullptr, live = row < n && d < dims;
    xc = SMALL && live ? x[d] : 0.0f, mc = SMALL && live && mem ? mem[d] : 0.0f;
  }
  __device__ __forceinline__ float at(int d) const { return SMALL ? xc : live ? x[d] : 0.0f; }
  // Row r with the network's output and the step's normal of coordinate d.
  __device__ __forceinline__ void step(const Row& r, int d, float net, float z) {
    const float x0 = at(d), m0 = SMALL ? mc : live && mem ? mem[d] : 0.0f;
    const float x1 = fmaf(r.a, x0, fmaf(r.b, net, fmaf(r.m, m0, r.c * z)));
    const float m1 = fmaf(r.g, x0, fmaf(r.h, net, fmaf(r.k, m0, r.j * z)));
    if (SMALL) xc = x1, mc = m1;
    else if (live) {
      x[d] = x1;
      if (mem) mem[d] = m1;
    }
  }
  __device__ __forceinline__ void finish(int d) {
    if (SMALL && live) {
      x[d] = xc;
      if (mem) mem[d] = mc;
    }
  }
};
