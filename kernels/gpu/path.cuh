// Code that the fused path integrals share: path_split.cu on tensor cores and path_fp32.cu.
#pragma once
#include "device.cuh"

// One state of the path, kernels.PathRow: proposal x' = a x + b n + c z, reverse step with mean e x + f n, LogNorm logc.
struct PathRow {
  float cin, a, b, c;
  double e, f, invc, invc2, logc;  // invc = 1/c, invc2 = 1/variance of the reverse step
  uint32_t step;
  uint32_t weigh, propose;
  uint32_t pad;
};

// What a row does to one path, of which a thread has all coordinates, with the network's outputs net(d): the state x, the one
// before, |z|^2 of the proposal that led here, and the log weight.
template <class Network>
__device__ __forceinline__ void path_step(const PathRow& r, int dims, float* x, float* prev, double* squares, double* logw, Normals& normals, const Network& net) {
  double residual[4] = {0.0, 0.0, 0.0, 0.0}, proposed[4] = {0.0, 0.0, 0.0, 0.0};
  for (int d0 = 0; d0 < dims; d0 += 4) {
#pragma unroll
    for (int q = 0; q < 4; q++) {
      const int d = d0 + q;
      if (d >= dims) break;
      const float y = net(d), x0 = x[d];
      if (r.weigh) {
        const double v = (double)prev[d] - (r.e * (double)x0 + r.f * (double)y);
        residual[q] += v * v;
      }
      if (r.propose) {
        const float x1 = fmaf(r.a, x0, fmaf(r.b, y, r.c * normals(r.step, dims, d)));
        const double v = (double)x1 - ((double)r.a * (double)x0 + (double)r.b * (double)y);
        proposed[q] += v * v;
        prev[d] = x0, x[d] = x1;
      }
    }
  }
  if (r.weigh) *logw += 0.5 * (*squares - ((residual[0] + residual[1]) + (residual[2] + residual[3])) * r.invc2) + r.logc;
  if (r.propose) *squares = ((proposed[0] + proposed[1]) + (proposed[2] + proposed[3])) * r.invc * r.invc;
}
