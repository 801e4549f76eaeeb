// Copies of whole pieces of memory that one thread asks for and no thread carries out (cp.async.bulk), and barriers in shared memory that
// tell when they have arrived (mbarrier): compute capability 9.0. Addresses in shared memory are those of shared_address. Places and sizes
// are multiples of 16 bytes.
//
// A barrier has phases, 0, 1, 0, ... A phase ends when as many arrivals as barrier_init said have come and all bytes that are expected in it
// have arrived. What was loaded may be read by products at once after barrier_wait, without shared_to_async. What threads wrote to shared
// memory needs shared_to_async by each of them, and a barrier of theirs, before bulk_store.
#pragma once
#include "wgmma.cuh"

#ifdef __CUDACC__
__device__ __forceinline__ void barrier_init(uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
// By the thread that made the barriers, before the block's barrier after which they are used.
__device__ __forceinline__ void barriers_made() {
  asm volatile("fence.mbarrier_init.release.cluster;\n fence.proxy.async.shared::cta;" ::: "memory");
}
__device__ __forceinline__ void barrier_arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
// Arrives, and so many bytes are expected.
__device__ __forceinline__ void barrier_expect(uint32_t barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
// Until the phase has ended that is the last one with this parity. Parity 1 of a new barrier has ended.
__device__ __forceinline__ void barrier_wait(uint32_t barrier, uint32_t parity) {
  uint32_t done;
  do {
    asm volatile("{ .reg .pred p;\n mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n selp.u32 %0, 1, 0, p; }"
                 : "=r"(done) : "r"(barrier), "r"(parity) : "memory");
  } while (!done);
}
// Device memory to shared memory; the barrier hears of the bytes.
__device__ __forceinline__ void bulk_load(uint32_t shared, const void* global, int bytes, uint32_t barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
               ::"r"(shared), "l"((uint64_t)__cvta_generic_to_global(global)), "r"(bytes), "r"(barrier) : "memory");
}
// Shared memory to device memory, in the current group of this thread's stores.
__device__ __forceinline__ void bulk_store(void* global, uint32_t shared, int bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"((uint64_t)__cvta_generic_to_global(global)), "r"(shared), "r"(bytes) : "memory");
}
__device__ __forceinline__ void bulk_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
// Until shared memory has been read by all groups of this thread's stores but the last LEAVE. A thread calls it before it ends.
template <int LEAVE>
__device__ __forceinline__ void bulk_wait_read() { asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(LEAVE) : "memory"); }
#endif
