//go:build gpu && cgo

// The part of NCCL that we use, bound at run time: no header, no dependency. The numbers of its enumerations are those of its binary
// interface, the same in all versions 2. HBAR_LIBNCCL names another library to open.
#include "nccl.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct { char bytes[128]; } unique_id;

static int (*get_version)(int *), (*get_unique_id)(unique_id *), (*comm_init_rank)(void **, int, unique_id, int);
static int (*all_reduce)(const void *, void *, size_t, int, int, void *, void *);
static int (*get_async_error)(void *, int *), (*comm_abort)(void *), (*comm_destroy)(void *);
static const char *(*get_error_string)(int), *(*get_last_error)(void *);
static int found;
static char message[512];

static int bind(const char *name) {
  static const struct { const char *name; void *at; } symbols[] = {
      {"ncclGetVersion", &get_version}, {"ncclGetUniqueId", &get_unique_id}, {"ncclCommInitRank", &comm_init_rank}, {"ncclAllReduce", &all_reduce},
      {"ncclCommGetAsyncError", &get_async_error}, {"ncclCommAbort", &comm_abort}, {"ncclCommDestroy", &comm_destroy}, {"ncclGetErrorString", &get_error_string}};
  void *h = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!h) {
    snprintf(message, sizeof message, "%s", dlerror());
    return 0;
  }
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
    if (!(*(void **)symbols[i].at = dlsym(h, symbols[i].name))) {
      snprintf(message, sizeof message, "%s has no %s", name, symbols[i].name);
      dlclose(h);
      return 0;
    }
  *(void **)&get_last_error = dlsym(h, "ncclGetLastError");  // since 2.13
  return 1;
}

int nccl_open(void) {
  if (found) return 1;
  const char *own = getenv("HBAR_LIBNCCL"), *emulated = getenv("HBAR_LIBCUDA");
  if (own && *own) return found = bind(own);
  if (emulated && *emulated) {  // a real NCCL can do nothing with another driver
    snprintf(message, sizeof message, "HBAR_LIBCUDA names another driver, and HBAR_LIBNCCL no NCCL for it");
    return 0;
  }
  return found = bind("libnccl.so.2");
}

const char *nccl_message(void) { return message; }
int nccl_version(int *version) { return get_version(version); }
int nccl_unique_id(char id[128]) { return get_unique_id((unique_id *)id); }
int nccl_init(void **comm, int size, const char *id, int rank) { return comm_init_rank(comm, size, *(const unique_id *)id, rank); }
int nccl_all_reduce(void *buffer, size_t count, int doubles, void *comm, void *stream) {
  enum { FLOAT32 = 7, FLOAT64 = 8, SUM = 0 };
  return all_reduce(buffer, buffer, count, doubles ? FLOAT64 : FLOAT32, SUM, comm, stream);
}
int nccl_async_error(void *comm, int *error) { return get_async_error(comm, error); }
int nccl_abort(void *comm) { return comm_abort(comm); }
int nccl_destroy(void *comm) { return comm_destroy(comm); }
const char *nccl_text(int result) { return get_error_string(result); }
const char *nccl_last_error(void *comm) { return get_last_error ? get_last_error(comm) : ""; }
