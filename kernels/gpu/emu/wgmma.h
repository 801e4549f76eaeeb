// Products of warpgroups in the emulator; see ../wgmma.cuh for what the calls mean. What hardware leaves open is decided so that a fault shows:
//   sums are NaN from the first product into them until a wait covers the last one
//   products run as late as they may, when something waits for them (with an odd HBAR_EMU_ORDER: at once), and read shared memory then
//   shared memory as products see it is NaN, or what it was before, until a thread calls shared_to_async
//   bulk copies (../bulk.cuh) run as late as they may too, when something waits for them; where a load goes is NaN until then
// A warp aborts the program if it starts products without a fence after a wait or at the beginning, if it ends before its products
// have, if a thread ends before its stores have read shared memory, or if the four warps of a warpgroup do not ask for the same products in the same order. With HBAR_EMU_APPROXIMATE sums are rounded
// towards zero, as tensor cores do.
#pragma once
#include "emu.h"

#define PANELS_SHARED(name) unsigned char* name = emu::smem
namespace emu {
void products_begin(int warps, size_t shared);  // of a block
void products_end();
void product(float* sums, int n, const uint32_t a[4], uint64_t descriptor, bool add, bool bf16 = false);
void product(float* sums, int n, uint64_t a, uint64_t b, bool add, bool bf16 = false, bool turned = false);  // turned: both operands
void products_fence();
void products_commit();
void products_wait(int leave);
void shared_to_async();
void barrier_init(uint32_t barrier, int arrivals);
void barrier_arrive(uint32_t barrier, int bytes);  // and expects so many
void barrier_wait(uint32_t barrier, uint32_t parity);
bool barrier_holds(uint32_t barrier, uint32_t parity);  // whether a thread must go on waiting
void bulk_load(uint32_t shared, const void* global, int bytes, uint32_t barrier);
void bulk_store(void* global, uint32_t shared, int bytes);
void bulk_commit();
void bulk_wait_read(int leave);
enum { SHARED_BASE = 1024 };  // the address of the first byte of shared memory
}  // namespace emu
inline void wg_fence() { emu::products_fence(); }
inline void wg_commit() { emu::products_commit(); }
template <int N> void wg_wait() { emu::products_wait(N); }
template <int R> void keep(float (&)[R]) {}
template <int N> void registers_at_most() {}
template <int N> void registers_at_least() {}
inline void shared_to_async() { emu::shared_to_async(); }
inline uint32_t after_wait(uint32_t v, uint32_t zero) { return v ^ zero; }
inline uint32_t shared_address(const void* p) { return (uint32_t)((const unsigned char*)p - emu::smem) + emu::SHARED_BASE; }
inline uint64_t descriptor_words(uint32_t low, uint32_t high) { return low | (uint64_t)high << 32; }
template <int R> void wgmma(float (&d)[R], const uint32_t (&a)[4], uint64_t b, int add) { emu::product(d, R, a, b, add); }
template <int R> void wgmma_bf16(float (&d)[R], const uint32_t (&a)[4], uint64_t b, int add) { emu::product(d, R, a, b, add, true); }
template <int R> void wgmma(float (&d)[R], uint64_t a, uint64_t b, int add) { emu::product(d, R, a, b, add); }
template <int R> void wgmma_bf16(float (&d)[R], uint64_t a, uint64_t b, int add) { emu::product(d, R, a, b, add, true); }
template <int R> void wgmma_bf16_turned(float (&d)[R], uint64_t a, uint64_t b, int add) { emu::product(d, R, a, b, add, true, true); }
inline void barrier_init(uint32_t barrier, int arrivals) { emu::barrier_init(barrier, arrivals); }
inline void barriers_made() {}
inline void barrier_arrive(uint32_t barrier) { emu::barrier_arrive(barrier, 0); }
inline void barrier_expect(uint32_t barrier, int bytes) { emu::barrier_arrive(barrier, bytes); }
inline void barrier_wait(uint32_t barrier, uint32_t parity) { emu::barrier_wait(barrier, parity); }
inline void bulk_load(uint32_t shared, const void* global, int bytes, uint32_t barrier) { emu::bulk_load(shared, global, bytes, barrier); }
inline void bulk_store(void* global, uint32_t shared, int bytes) { emu::bulk_store(global, shared, bytes); }
inline void bulk_commit() { emu::bulk_commit(); }
template <int LEAVE> void bulk_wait_read() { emu::bulk_wait_read(LEAVE); }
