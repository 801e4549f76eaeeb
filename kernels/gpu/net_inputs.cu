// What enters and leaves a program: features of times, rows of tables, dropout masks and losses. Scalars that are inputs are float64.
#include "net.cuh"

// A number for each sample: of an input, wide; of another value, narrow. step is 0 where all samples share it.
struct Scalar {
  const double* wide;
  const float* narrow;
  int step, pad;
};
__device__ __forceinline__ double value_of(const Scalar& s, long long sample) { return s.wide ? s.wide[sample * s.step] : s.narrow[sample * s.step]; }

// sin and cos of x, or their derivatives of the given order.
__device__ __forceinline__ void wave(double x, int order, double* s, double* c) {
  double turns = x * 0.15915494309189533577;  // in turns about 0, so that the reduction is ours
  turns -= rint(turns);
  double a, b;
  sincospi(2 * turns, &a, &b);
  switch (order & 3) {
    case 0: *s = a, *c = b; break;
    case 1: *s = b, *c = -a; break;
    case 2: *s = -a, *c = -b; break;
    default: *s = -b, *c = a; break;
  }
}

// ops.Sinusoid: log_step is the logarithm of the ratio of neighbouring frequencies.
extern "C" __global__ void __launch_bounds__(128) net_sinusoid(float* out, Scalar time, int dim, double log_step, int cos_first, int order, long long n) {
  const int half = dim / 2;
  EACH(i, n * dim) {
    const long long sample = i / dim;
    const int k = (int)(i % dim);
    if (k >= 2 * half) {
      out[i] = 0.0f;
      continue;
    }
    const bool second = k >= half;
    const double f = exp(log_step * (second ? k - half : k));
    double s, c, scale = 1;
    wave(f * value_of(time, sample), order, &s, &c);
    for (int o = 0; o < order; o++) scale *= f;
    out[i] = (float)(scale * (second != (cos_first != 0) ? c : s));
  }
}
KERNEL(net_sinusoid)

// ops.Fourier: sines of 2 pi f t, then cosines. freqs may differ from sample to sample.
extern "C" __global__ void __launch_bounds__(128) net_fourier(float* out, const float* freqs, long long freqs_sample, Scalar time, int count, int order, long long n) {
  EACH(i, n * 2 * count) {
    const long long sample = i / (2 * count);
    const int k = (int)(i % (2 * count)), j = k % count;
    const double f = freqs[sample * freqs_sample + j];
    double turns = f * value_of(time, sample), s, c, scale = 1;
    turns -= rint(turns);
    wave(6.283185307179586477 * turns, order, &s, &c);
    for (int o = 0; o < order; o++) scale *= 6.283185307179586477 * f;
    out[i] = (float)(scale * (k < count ? s : c));
  }
}
KERNEL(net_fourier)

extern "C" __global__ void __launch_bounds__(256) net_embedding(float* out, const float* table, long long table_sample, Scalar id, int width, long long n) {
  EACH(i, n * width) {
    const long long sample = i / width;
    out[i] = table[sample * table_sample + (long long)rint(value_of(id, sample)) * width + i % width];
  }
}
KERNEL(net_embedding)

// The cotangent of a table: a thread adds up a column, the samples in their order.
extern "C" __global__ void __launch_bounds__(128) net_embedding_table(float* out, Scalar id, const float* g, long long g_sample, int rows, int width, long long n, int more) {
  EACH(c, width) {
    if (!more)
      for (int r = 0; r < rows; r++) out[(long long)r * width + c] = 0.0f;
    for (long long s = 0; s < n; s++) out[(long long)rint(value_of(id, s)) * width + c] += g[s * g_sample + c];
  }
}
KERNEL(net_embedding_table)

// ops.DropoutMask: a thread draws four elements.
extern "C" __global__ void __launch_bounds__(256) net_dropout(float* out, Scalar counter, unsigned long long seed, unsigned stream, unsigned long long drop, float keep, int size, long long n) {
  const int blocks = (size + 3) / 4;
  EACH(i, n * blocks) {
    const long long sample = i / blocks;
    const int b = (int)(i % blocks);
    const U4 w = noise_block(seed, stream, (unsigned long long)value_of(counter, sample), (uint32_t)b);
    const uint32_t words[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
    for (int j = 0; j < 4; j++)
      if (4 * b + j < size) out[sample * size + 4 * b + j] = words[j] < drop ? 0.0f : keep;
  }
}
KERNEL(net_dropout)

// loss = weight sum (y - target)^2 of each sample, in float64 and float32; a block makes a sample's.
extern "C" __global__ void __launch_bounds__(256) net_squared_error(double* wide, float* out, const float* y, long long y_sample, const float* target, long long target_sample, Scalar weight, int size) {
  EXTERN_SHARED(double, scratch);
  const long long sample = blockIdx.x;
  double s = 0;
  for (int i = threadIdx.x; i < size; i += 256) {
    const double d = (double)y[sample * y_sample + i] - target[sample * target_sample + i];
    s += d * d;
  }
  s = block_total(s, scratch) * value_of(weight, sample);
  if (threadIdx.x) return;
  wide[sample] = s;
  out[sample] = (float)s;
}
KERNEL(net_squared_error)
