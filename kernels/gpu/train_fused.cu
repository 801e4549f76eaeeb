// The rows of a training step in one launch, for chains of dense layers that fit: draw, forward, loss, backward to the
// gradients of all layers' sums. Every layer's input and the gradient of its sums go to device memory, a row for each sample;
// train_grad (train.cu) computes the parameters' gradients from them. The slopes for the backward pass are there too.
//
// A block has R rows and 16 warps. Lane l of a warp has units 4 l .. 4 l + 3 of a chunk of 128 and all rows; the inputs of
// a layer are divided among the warps in 16 runs. So a block reads each weight once, 16 bytes for a lane, with many reads in
// flight. The 16 partial sums of a unit and row are added in the warps' order: results depend
// neither on R nor on the grid. R is chosen for the batch: few rows mean more blocks, and weights read more often.
#include "train.cuh"

enum { WARPS = 16, THREADS = 32 * WARPS, CHUNK = 128 };

// A dense layer, mirrored by cuda/chains/training.go. Row strides are multiples of 4 floats, with zero weights beyond n and k.
struct FusedLayer {
  const float* forward;  // weights [k][ldn]
  const float* weights;  // the same [n][ldk]
  const float* bias;     // [ldn]
  float* x;              // the layer's input, [rows][ldk]
  float* dz;             // gradient of its sums, [rows][ldn]
  float* slope;          // of its activation, [rows][ldn]; null for the last layer
  int n, k, ldn, ldk;
};

struct FusedNet {
  int layers, act, residual, slab;  // slab: the most columns of a layer's input or output, for shared memory
  FusedLayer layer[MAX_LAYERS + 1];
};

// Floats from a column of a slab to the next: R and some skew.
template <int R> struct Slab { enum { LD = R == 4 ? 4 : R + 4 }; };

// A chunk's product: units c0 .. c0 + 127 of a layer with weights w [k][ld].
struct Job {
  const float* w;
  int ld, k, c0;
};

// The first weights of this warp's run of a job, for the lane's units, which are prefetched.
template <int R> struct Ahead { enum { GROUP = R == 16 ? 2 : 8 }; float4 b[GROUP]; };

__device__ __forceinline__ int run_of(const Job& q) { return (q.k + WARPS - 1) / WARPS; }

// Reads a group of weights from input k on, all at once.
template <int R>
__device__ __forceinline__ void read_group(Ahead<R>& next, const Job& q, int k, int k1) {
  const int u = q.c0 + 4 * (threadIdx.x & 31);
#pragma unroll
  for (int g = 0; g < Ahead<R>::GROUP; g++)
    if (k + g < k1 && u < q.ld) next.b[g] = __ldg((const float4*)&q.w[(k + g) * q.ld + u]);
}

template <int R>
__device__ __forceinline__ void read_ahead(Ahead<R>& next, const Job& q) {
  const int k0 = min(q.k, (int)(threadIdx.x >> 5) * run_of(q));
  read_group<R>(next, q, k0, min(q.k, k0 + run_of(q)));
}

// The job's products over this warp's run of the k inputs, to part[warp][row][CHUNK]; ahead holds its first weights, and
// then those of the job that follows. Ends with a barrier.
template <int R>
__device__ __forceinline__ void chunk_product(float* part, const Job& q, const float* x, Ahead<R>& ahead, const Job& following) {
  enum { LD = Slab<R>::LD, GROUP = Ahead<R>::GROUP };
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int k0 = min(q.k, warp * run_of(q)), k1 = min(q.k, k0 + run_of(q));
  float acc[4][R];
#pragma unroll
  for (int j = 0; j < 4; j++)
#pragma unroll
    for (int i = 0; i < R; i++) acc[j][i] = 0.0f;
  if (q.c0 + 4 * lane < q.ld) {
#pragma unroll 1
    for (int k = k0; k < k1; k += GROUP) {
      if (k > k0) read_group<R>(ahead, q, k, k1);
#pragma unroll
      for (int g = 0; g < GROUP; g++) {
        if (k + g >= k1) break;
        const float4 b = ahead.b[g];
        float a[R];
#pragma unroll
        for (int i = 0; i < R; i += 4) *(float4*)&a[i] = *(const float4*)&x[(k + g) * LD + i];
#pragma unroll
        for (int i = 0; i < R; i++) {
          acc[0][i] = fmaf(a[i], b.x, acc[0][i]);
          acc[1][i] = fmaf(a[i], b.y, acc[1][i]);
          acc[2][i] = fmaf(a[i], b.z, acc[2][i]);
          acc[3][i] = fmaf(a[i], b.w, acc[3][i]);
        }
      }
    }
  }
#pragma unroll
  for (int i = 0; i < R; i++) *(float4*)&part[(warp * R + i) * CHUNK + 4 * lane] = make_float4(acc[0][i], acc[1][i], acc[2][i], acc[3][i]);
  read_ahead<R>(ahead, following);
  __syncthreads();
}

// The sum of unit c0 + (e & 127) and row e >> 7 over the warps.
template <int R>
__device__ __forceinline__ float chunk_sum(const float* part, int e) {
  float s = 0.0f;
#pragma unroll
  for (int w = 0; w < WARPS; w++) s += part[w * R * CHUNK + e];
  return s;
}

// Rows row0 .. row0 + R - 1 of the batch: the network's input to x[column][LD] and to layer 0's x, targets to target[d][R],
// weights to weight[R]. coef[R][COEFFICIENTS] and pick[R] are scratch. Ends with a barrier.
template <int R>
__device__ __forceinline__ void draw_block(const Draw& draw, const TrainControl* control, long long row0, int n, const FusedLayer& first, float* x,
                                           float* target, float* weight, double* coef, unsigned long long* pick) {
  enum { LD = Slab<R>::LD };
  const int t = threadIdx.x, D = draw.d;
  if (!draw.data) {
    for (int e = t; e < R * first.k; e += THREADS) {
      const int r = e % R, k = e / R;
      x[k * LD + r] = row0 + r < n ? first.x[(row0 + r) * first.ldk + k] : 0.0f;
    }
    for (int e = t; e < R * D; e += THREADS) target[e] = row0 + e % R < n ? draw.target[(row0 + e % R) * D + e / R] : 0.0f;
    for (int r = t; r < R; r += THREADS) weight[r] = row0 + r < n ? draw.weight[row0 + r] : 0.0f;
    __syncthreads();
    return;
  }
  const unsigned long long sample0 = first_sample(draw, control) + (unsigned long long)row0;
  for (int e = t; e < R * 8; e += THREADS) draw_row(draw, sample0 + (e >> 3), e & 7, coef + (e >> 3) * COEFFICIENTS, pick + (e >> 3));
  __syncthreads();
  for (int e = t; e < R * first.k; e += THREADS) {
    const int r = e % R, k = e / R;
    const double* c = coef + r * COEFFICIENTS;
    float v;
    if (k < D) {
      const Example q = draw_coordinate(draw, sample0 + r, c, pick[r], k);
      v = q.input;
      target[e] = q.target;
    } else {
      v = draw_feature(draw, c[COEF_TAU], k - D);
    }
    x[k * LD + r] = v;
    if (row0 + r < n) first.x[(row0 + r) * first.ldk + k] = v;
  }
  for (int r = t; r < R; r += THREADS) weight[r] = (float)coef[r * COEFFICIENTS + COEF_WEIGHT];
  __syncthreads();
}

template <int R>
__device__ __forceinline__ void train_rows_body(const FusedNet& net, const Draw& draw, const TrainControl* control, double* __restrict__ row_loss, int n, float scale) {
  EXTERN_SHARED(float, sm);
  enum { LD = Slab<R>::LD, PER = R * CHUNK / THREADS };  // PER: elements of a chunk that a thread finishes
  const int t = threadIdx.x, D = draw.d;
  float* x = sm;                                  // [slab][LD]: input of the layer at hand
  float* y = x + net.slab * LD;                   // its output
  float* part = y + net.slab * LD;                // [WARPS][R][CHUNK]
  float* target = part + WARPS * R * CHUNK;       // [MAX_D][R]
  float* weight = target + MAX_D * R;             // [R]
  double* square = (double*)(weight + R);         // [MAX_D][R]
  double* coef = square + MAX_D * R;              // [R][COEFFICIENTS]
  unsigned long long* pick = (unsigned long long*)(coef + R * COEFFICIENTS);  // [R]
  float* keep = (float*)(pick + R);               // [R][slab], with residual connections: the gradient that skips a layer
  const long long row0 = (long long)blockIdx.x * R;

  const auto forward = [&](int l, int c0) { return Job{net.layer[l].forward, net.layer[l].ldn, net.layer[l].k, c0}; };
  const auto back = [&](int l, int c0) { return Job{net.layer[l].weights, net.layer[l].ldk, net.layer[l].n, c0}; };
  Ahead<R> ahead;
  read_ahead<R>(ahead, forward(0, 0));
  draw_block<R>(draw, control, row0, n, net.layer[0], x, target, weight, coef, pick);

  for (int l = 0; l < net.layers; l++) {
    const FusedLayer& L = net.layer[l];
    const bool last = l + 1 == net.layers;
    for (int c0 = 0; c0 < L.ldn; c0 += CHUNK) {
      chunk_product<R>(part, forward(l, c0), x, ahead, c0 + CHUNK < L.ldn ? forward(l, c0 + CHUNK) : last ? back(l, 0) : forward(l + 1, 0));
#pragma unroll
      for (int i = 0; i < PER; i++) {
        const int e = t + i * THREADS, r = e / CHUNK, u = c0 + e % CHUNK;
        if (u >= L.ldn) continue;
        const float z = chunk_sum<R>(part, e) + L.bias[u];
        if (last) {
          y[u * LD + r] = z;
          continue;
        }
        float slope, v = act_value(net.act, z, true, &slope);
        if (net.residual && l) v += x[u * LD + r];
        y[u * LD + r] = v;
        if (row0 + r < n) {
          const size_t at = (size_t)(row0 + r) * L.ldn + u;
          L.slope[at] = slope;
          net.layer[l + 1].x[at] = v;
        }
      }
      __syncthreads();
    }
    float* out = y;
    y = x, x = out;
  }

  // Loss, and its gradient in place of the network's output.
  const FusedLayer& head = net.layer[net.layers - 1];
  for (int e = t; e < R * D; e += THREADS) {
    const int r = e % R, d = e / R;
    const float diff = x[d * LD + r] - target[e];
    const float g = scale * weight[r] * diff;
    square[e] = (double)diff * (double)diff;
    x[d * LD + r] = g;
    if (row0 + r < n) head.dz[(size_t)(row0 + r) * head.ldn + d] = g;
  }
  __syncthreads();
  for (int r = t; r < R; r += THREADS) {
    double s = 0.0;
    for (int d = 0; d < D; d++) s += square[d * R + r];
    if (row0 + r < n) row_loss[row0 + r] = (double)weight[r] * s;
  }

  for (int l = net.layers - 1; l > 0; l--) {
    const FusedLayer& L = net.layer[l];
    const FusedLayer& below = net.layer[l - 1];
    const bool skip = net.residual && l + 1 < net.layers;  // the layer's input was added to its output
    for (int c0 = 0; c0 < L.ldk; c0 += CHUNK) {
      float slope[PER];
#pragma unroll
      for (int i = 0; i < PER; i++) {
        const int e = t + i * THREADS, r = e / CHUNK, u = c0 + e % CHUNK;
        slope[i] = u < L.ldk && row0 + r < n ? below.slope[(size_t)(row0 + r) * L.ldk + u] : 0.0f;
      }
      chunk_product<R>(part, back(l, c0), x, ahead, c0 + CHUNK < L.ldk ? back(l, c0 + CHUNK) : back(max(l - 1, 1), 0));
#pragma unroll
      for (int i = 0; i < PER; i++) {
        const int e = t + i * THREADS, r = e / CHUNK, u = c0 + e % CHUNK;
        if (u >= L.ldk) continue;
        float g = chunk_sum<R>(part, e);
        if (net.residual) {  // element (r, u) is this thread's in every layer
          if (skip) g += keep[r * net.slab + u];
          keep[r * net.slab + u] = g;
        }
        g *= slope[i];
        y[u * LD + r] = g;
        if (row0 + r < n) below.dz[(size_t)(row0 + r) * L.ldk + u] = g;
      }
      __syncthreads();
    }
    float* out = y;
    y = x, x = out;
  }
}

#define TRAIN_ROWS(R)                                                                                                   \
  extern "C" __global__ void __launch_bounds__(THREADS, 1) train_rows_##R(FusedNet net, Draw draw, const TrainControl* control, \
      double* row_loss, int n, float scale) {                                                                            \
    train_rows_body<R>(net, draw, control, row_loss, n, scale);                                                          \
  }                                                                                                                     \
  KERNEL(train_rows_##R)
TRAIN_ROWS(4)
TRAIN_ROWS(8)
TRAIN_ROWS(16)
