//go:build gpu && cgo

// Strong definitions of every libcuda symbol this binary uses: the calls of gorgonia.org/cu bind to these instead of
// libcuda.so.1, which is opened at run time. So one binary runs on machines with and without a driver. The list,
// driver_symbols.h, is what scripts/driver_symbols.sh finds undefined in their objects; CI compares.
// HBAR_LIBCUDA names another library to open: the emulator of kernels/gpu/emu in tests.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>

enum { ERR_NO_DEVICE = 100, ERR_SYMBOL = 500 };

static int no_driver(void) { return ERR_NO_DEVICE; }
static int no_symbol(void) { return ERR_SYMBOL; }

#define X(n) I_##n,
enum {
#include "driver_symbols.h"
  N_SYMS
};
#undef X

#define X(n) [I_##n] = (void *)no_driver,
__attribute__((visibility("hidden"), used)) void *hbar_driver_table[] = {
#include "driver_symbols.h"
};
#undef X

#define X(n) #n,
static const char *const names[] = {
#include "driver_symbols.h"
};
#undef X

// endbr64 keeps the stubs valid under -fcf-protection
#define STR(x) #x
#define X(n) \
  __attribute__((naked, noinline, visibility("hidden"))) void n(void) { \
    __asm__("endbr64\n\tjmp *hbar_driver_table+8*%c0(%%rip)" ::"i"(I_##n)); }
#include "driver_symbols.h"
#undef X

static int init_rc = -1;  // -1 not tried, -2 no library, else the CUresult of cuInit
static char init_msg[256];

int hbar_driver_status(void) { return init_rc; }
const char *hbar_driver_message(void) { return init_msg; }

// gorgonia.org/cu's package init calls cuInit and os.Exit(1)s when it fails.
// Ours records the outcome and always says CUDA_SUCCESS.
__attribute__((visibility("hidden"))) int cuInit(unsigned flags) {
  if (init_rc != -1) return 0;
  const char *path = getenv("HBAR_LIBCUDA");
  void *h = dlopen(path && *path ? path : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!h) {
    const char *e = dlerror();
    init_rc = -2;
    for (size_t i = 0; e && e[i] && i + 1 < sizeof init_msg; i++) init_msg[i] = e[i];
    return 0;
  }
  for (int i = 0; i < N_SYMS; i++) {  // even if cuInit fails below: cuGetErrorString has words for it
    void *p = dlsym(h, names[i]);
    hbar_driver_table[i] = p ? p : (void *)no_symbol;
  }
  int (*real)(unsigned) = (int (*)(unsigned))dlsym(h, "cuInit");
  init_rc = real ? real(flags) : ERR_SYMBOL;
  return 0;
}
