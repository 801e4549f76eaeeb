// Updates of states, for networks that run layer by layer: the rows of a step table with their noise, and the
// path integral's proposals and weights. States are float32, densities float64.
#include "device.cuh"

#define EACH(i, all) for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < (all); i += (int64_t)gridDim.x * blockDim.x)

// in = cin x
extern "C" __global__ void __launch_bounds__(256) scale_state(float* in, const float* x, float cin, long long count) {
  EACH(i, count) in[i] = cin * x[i];
}
KERNEL(scale_state)

// A row of the step table for n samples of d coordinates, with the network's output y; mem may be null. in is the network's
// next input, next_cin x'. A thread takes two coordinates, which share the words of a pair of normals.
extern "C" __global__ void __launch_bounds__(256) step_state(float* x, float* mem, const float* y, float* in, Row row, float next_cin, long long n, int d, unsigned long long seed, unsigned stream, unsigned long long first) {
  const int pairs = (d + 1) / 2;
  const bool noisy = row.c != 0.0f || row.j != 0.0f;
  EACH(i, n * pairs) {
    const int64_t sample = i / pairs;
    const int j0 = (int)(i % pairs) * 2;
    Normals normals(seed, stream, first + (uint64_t)sample);
#pragma unroll
    for (int e = 0; e < 2; e++) {
      if (j0 + e >= d) break;
      const int64_t at = sample * d + j0 + e;
      const float x0 = x[at], net = y[at];
      float xn = fmaf(row.b, net, row.a * x0), mn = fmaf(row.h, net, row.g * x0);
      if (noisy) {
        const float z = normals(row.step, d, j0 + e);
        xn = fmaf(row.c, z, xn), mn = fmaf(row.j, z, mn);
      }
      if (mem) {
        const float m0 = mem[at];
        xn = fmaf(row.m, m0, xn);
        mem[at] = fmaf(row.k, m0, mn);
      }
      x[at] = xn;
      in[at] = next_cin * xn;
    }
  }
}
KERNEL(step_state)

// |u - a x - b y|^2 over d coordinates, as four interleaved sums.
__device__ __forceinline__ double residual_squared(const float* u, const float* x, const float* y, double a, double b, int d) {
  double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  int j = 0;
  for (; j + 4 <= d; j += 4) {
    const double r0 = u[j] - (a * x[j] + b * y[j]), r1 = u[j + 1] - (a * x[j + 1] + b * y[j + 1]);
    const double r2 = u[j + 2] - (a * x[j + 2] + b * y[j + 2]), r3 = u[j + 3] - (a * x[j + 3] + b * y[j + 3]);
    s0 += r0 * r0, s1 += r1 * r1, s2 += r2 * r2, s3 += r3 * r3;
  }
  for (; j < d; j++) {
    const double r = u[j] - (a * x[j] + b * y[j]);
    s0 += r * r;
  }
  return s0 + s1 + (s2 + s3);
}

// State k of a path (kernels/infer, PathRow and PathWeights): with y = net(cin x_k) add log R/Q of the step from prev =
// x_{k-1} to x = x_k, whose proposal had |z|^2 = zz, unless k = 0; then propose x_{k+1}, unless k = N.
struct PathStep {
  double e, f, inv_c2, log_c;  // of the weight
  double a, b, inv_c;          // of the proposal, as rounded to float32
  float ca, cb, cc, next_cin;
  uint32_t step;
  int weigh, propose;
};

extern "C" __global__ void __launch_bounds__(128) step_path(float* x, float* prev, const float* y, float* in, double* zz, double* logw, PathStep q, long long n, int d, unsigned long long seed, unsigned stream, unsigned long long first) {
  EACH(i, n) {
    float *xi = x + i * d, *pi = prev + i * d, *ii = in + i * d;
    const float* yi = y + i * d;
    if (q.weigh) logw[i] += 0.5 * (zz[i] - residual_squared(pi, xi, yi, q.e, q.f, d) * q.inv_c2) + q.log_c;
    if (!q.propose) continue;
    Normals normals(seed, stream, first + (uint64_t)i);
    for (int j = 0; j < d; j++) {
      const float x0 = xi[j], xn = fmaf(q.cc, normals(q.step, d, j), fmaf(q.cb, yi[j], q.ca * x0));
      pi[j] = x0, xi[j] = xn, ii[j] = q.next_cin * xn;
    }
    zz[i] = residual_squared(xi, pi, yi, q.a, q.b, d) * q.inv_c * q.inv_c;
  }
}
KERNEL(step_path)
