// The part of cuBLAS that cuda/blas.c calls, as kernels of the emulated driver: HBAR_LIBCUBLAS names this library.
#include "registry.h"

enum { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum { R_32F = 0, R_64F = 1, R_16F = 2, COMPUTE_32F = 68 };
struct Handle { void *stream, *module, *kernel; };

// Column-major C (m x n) = alpha op(A) op(B) + beta C, in the type of C; ab is the type of A and B.
struct Gemm { int ta, tb, m, n, k, lda, ldb, ldc, ab; double alpha, beta; const void *a, *b; void* c; };
template <class T, class S, S (*read)(T)>
static void run(const Gemm& q) {
  const T *a = (const T*)q.a, *b = (const T*)q.b;
  S* c = (S*)q.c;
  for (int j = 0; j < q.n; j++)
    for (int i = 0; i < q.m; i++) {
      S s = 0;
      for (int l = 0; l < q.k; l++) s += read(q.ta ? a[l + (size_t)i * q.lda] : a[i + (size_t)l * q.lda]) * read(q.tb ? b[j + (size_t)l * q.ldb] : b[l + (size_t)j * q.ldb]);
      S* p = c + i + (size_t)j * q.ldc;
      *p = (S)q.alpha * s + (q.beta != 0 ? (S)q.beta * *p : 0);
    }
}
static float same_f32(float x) { return x; }
static double same_f64(double x) { return x; }
static float half(uint16_t x) { return emu::h2f(x); }
static void cublas_gemm(Gemm q) {
  if (q.ab == R_64F) run<double, double, same_f64>(q);
  if (q.ab == R_32F) run<float, float, same_f32>(q);
  if (q.ab == R_16F) run<uint16_t, float, half>(q);
}
KERNEL(cublas_gemm)

extern "C" {
int cuModuleLoadData(void**, const void*);
int cuModuleUnload(void*);
int cuModuleGetFunction(void**, void*, const char*);
int cuLaunchKernel(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**, void**);

int cublasCreate_v2(Handle** h) {
  Handle made{};
  if (cuModuleLoadData(&made.module, "\x7f" "ELF") || cuModuleGetFunction(&made.kernel, made.module, "cublas_gemm")) return NOT_INITIALIZED;
  *h = new Handle(made);
  return SUCCESS;
}
int cublasDestroy_v2(Handle* h) {
  const int r = cuModuleUnload(h->module);
  delete h;
  return r ? NOT_INITIALIZED : SUCCESS;
}
int cublasSetStream_v2(Handle* h, void* s) { h->stream = s; return SUCCESS; }
int cublasSetMathMode(Handle*, int mode) { return mode ? NOT_SUPPORTED : SUCCESS; }
static int enqueue(Handle* h, const Gemm& q) {
  const int rows_a = q.ta ? q.k : q.m, rows_b = q.tb ? q.n : q.k;
  if (q.m < 0 || q.n < 0 || q.k < 0 || q.lda < rows_a || q.ldb < rows_b || q.ldc < q.m || q.lda < 1 || q.ldb < 1 || q.ldc < 1) return INVALID_VALUE;
  void* args[] = {(void*)&q};
  return cuLaunchKernel(h->kernel, 1, 1, 1, 1, 1, 1, 0, h->stream, args, nullptr) ? EXECUTION_FAILED : SUCCESS;
}
int cublasSgemm_v2(Handle* h, int ta, int tb, int m, int n, int k, const float* alpha, const void* a, int lda, const void* b, int ldb, const float* beta, void* c, int ldc) {
  return enqueue(h, Gemm{ta, tb, m, n, k, lda, ldb, ldc, R_32F, *alpha, *beta, a, b, c});
}
int cublasDgemm_v2(Handle* h, int ta, int tb, int m, int n, int k, const double* alpha, const void* a, int lda, const void* b, int ldb, const double* beta, void* c, int ldc) {
  return enqueue(h, Gemm{ta, tb, m, n, k, lda, ldb, ldc, R_64F, *alpha, *beta, a, b, c});
}
int cublasGemmEx(Handle* h, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int at, int lda, const void* b, int bt, int ldb, const void* beta, void* c, int ct, int ldc, int compute, int algorithm) {
  if (at != R_16F || bt != R_16F || ct != R_32F || compute != COMPUTE_32F || algorithm != -1) return NOT_SUPPORTED;
  return enqueue(h, Gemm{ta, tb, m, n, k, lda, ldb, ldc, R_16F, *(const float*)alpha, *(const float*)beta, a, b, c});
}
}
