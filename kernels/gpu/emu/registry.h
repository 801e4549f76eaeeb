// The kernels of the emulated driver: each .cu file names its own with KERNEL, which nvcc does not see.
#pragma once
#include <map>
#include <string>
#include <utility>
#include "emu.h"
#include "wgmma.h"

namespace emu {
enum { MAX_ARGS = 64 };
struct Fn { const char* name; Kernel k; size_t size; size_t off[MAX_ARGS], len[MAX_ARGS]; int n; int smem_max; };
std::map<std::string, Fn>& registry();

template <class T> struct Sig;
template <class... A> struct Sig<void(A...)> {
  template <void (*K)(A...), size_t... I> static void go(void** p, std::index_sequence<I...>) { K(*(A*)p[I]...); }
  template <void (*K)(A...)> static void run(void** p) { go<K>(p, std::index_sequence_for<A...>()); }
  static Fn fn(const char* name, Kernel k) {
    static_assert(sizeof...(A) <= MAX_ARGS, "more arguments than the emulator passes");
    Fn f{name, k, 0, {}, {}, (int)sizeof...(A), 48 << 10};
    size_t al[] = {alignof(A)...}, sz[] = {sizeof(A)...};
    for (int i = 0; i < f.n; i++) { f.off[i] = f.size = (f.size + al[i] - 1) / al[i] * al[i]; f.len[i] = sz[i]; f.size += sz[i]; }
    return f;
  }
};
}  // namespace emu

#define KERNEL(k) static bool reg_##k = (emu::registry()[#k] = emu::Sig<decltype(k)>::fn(#k, &emu::Sig<decltype(k)>::template run<&k>), true);
