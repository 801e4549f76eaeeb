// The parts of steps of programs that are the same for each: a row of a sampler's table, and Adam. Which row or step it is lies in
// device memory, so that the launches are the same each time and can be captured once.
#include "net.cuh"

// The network's input of row *at: in = cin x, twice if both samples with and without label are wanted, and the time.
extern "C" __global__ void __launch_bounds__(256) net_row_begin(float* in, const float* x, const Row* rows, const double* times, const int* at, double* wide, float* narrow, long long count, int twice) {
  const int row = *at;
  if (blockIdx.x == 0 && threadIdx.x == 0) *wide = times[row], *narrow = (float)times[row];
  const float cin = rows[row].cin;
  EACH(i, count) {
    in[i] = cin * x[i];
    if (twice) in[count + i] = cin * x[i];
  }
}
KERNEL(net_row_begin)

// The update of row *at with the network's values y, with guidance (1 + w) y - w y without labels. A thread takes two coordinates,
// which share the words of a pair of normals.
extern "C" __global__ void __launch_bounds__(256) net_row_end(float* x, float* mem, const float* y, const Row* rows, const int* at, float guidance, int twice, long long n, int d, unsigned long long seed, unsigned stream,
                                                              const unsigned long long* first) {
  const Row row = rows[*at];
  const int pairs = (d + 1) / 2;
  const bool noisy = row.c != 0.0f || row.j != 0.0f;
  EACH(i, n * pairs) {
    const long long sample = i / pairs;
    const int j0 = (int)(i % pairs) * 2;
    Normals normals(seed, stream, *first + (uint64_t)sample);
#pragma unroll
    for (int e = 0; e < 2; e++) {
      if (j0 + e >= d) break;
      const long long k = sample * d + j0 + e;
      const float x0 = x[k], net = twice ? (1.0f + guidance) * y[k] - guidance * y[n * d + k] : y[k];
      float xn = fmaf(row.b, net, row.a * x0), mn = fmaf(row.h, net, row.g * x0);
      if (noisy) {
        const float z = normals(row.step, d, j0 + e);
        xn = fmaf(row.c, z, xn), mn = fmaf(row.j, z, mn);
      }
      if (mem) {
        const float m0 = mem[k];
        xn = fmaf(row.m, m0, xn);
        mem[k] = fmaf(row.k, m0, mn);
      }
      x[k] = xn;
    }
  }
}
KERNEL(net_row_end)

extern "C" __global__ void __launch_bounds__(32) net_next(int* at) {
  if (threadIdx.x == 0) ++*at;
}
KERNEL(net_next)

// Squares of the gradient, a sum for each block of a fixed share.
extern "C" __global__ void __launch_bounds__(256) net_squares(double* part, const float* g, long long count, long long share) {
  EXTERN_SHARED(double, scratch);
  const long long lo = blockIdx.x * share;
  double s = 0;
  for (long long i = lo + threadIdx.x; i < lo + share && i < count; i += 256) s += (double)g[i] * g[i];
  s = block_total(s, scratch);
  if (threadIdx.x == 0) part[blockIdx.x] = s;
}
KERNEL(net_squares)

// A step's constants, which change from one to the next (simd.AdamStep), and what the device says of it: see cuda/programs/trainer.go.
struct AdamStep {
  float lr, c1, c2, ema, beta1, beta2, eps, decay;
  double clip;
};
struct StepResult {
  double loss, norm;
  int bad, pad;  // BAD_LOSS or BAD_GRADIENT
};
enum { NET_BAD_LOSS = 1, NET_BAD_GRADIENT = 2 };

// Loss and norm of the step from their parts, in one block and a fixed order.
extern "C" __global__ void __launch_bounds__(256) net_result(StepResult* r, const double* losses, int n, const double* squares, int parts) {
  EXTERN_SHARED(double, scratch);
  double s = 0;
  for (int i = threadIdx.x; i < n; i += 256) s += losses[i];
  const double loss = block_total(s, scratch);
  s = 0;
  for (int i = threadIdx.x; i < parts; i += 256) s += squares[i];
  const double square = block_total(s, scratch);
  if (threadIdx.x) return;
  r->loss = loss, r->norm = sqrt(square);
  r->bad = !(fabs(loss) <= 1.7976931348623157e308) ? NET_BAD_LOSS : !(square <= 1.7976931348623157e308) ? NET_BAD_GRADIENT : 0;
}
KERNEL(net_result)

// Adam, rounded as simd's; nothing where the result is bad.
extern "C" __global__ void __launch_bounds__(256) net_adam(float* p, float* m, float* v, const float* g, float* ema, const AdamStep* step, const StepResult* r, long long count) {
  if (r->bad) return;
  const AdamStep c = *step;
  const float scale = c.clip > 0.0 && r->norm > c.clip ? (float)(c.clip / r->norm) : 1.0f;
  EACH(i, count) {
    const float gi = __fmul_rn(g[i], scale), mi = fmaf(1.0f - c.beta1, gi - m[i], m[i]);
    const float vi = fmaf(c.beta2, v[i], (1.0f - c.beta2) * __fmul_rn(gi, gi));
    m[i] = mi, v[i] = vi;
    const float by = mi * c.c1 / (sqrtf(vi * c.c2) + c.eps), old = p[i], next = fmaf(-c.lr, fmaf(c.decay, old, by), old);
    p[i] = next;
    if (ema) ema[i] = fmaf(1.0f - c.ema, next - ema[i], ema[i]);
  }
}
KERNEL(net_adam)
