// Copies from device to shared memory that need no register and no waiting: cp.async of compute capability 8.
#pragma once
#include "device.cuh"

#ifdef __CUDACC__
// Starts the copy of one T, of 4, 8 or 16 bytes, or of zeros where there is nothing to copy.
template <class T>
__device__ __forceinline__ void copy_async(T* shared, const T* global, bool there) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"((uint32_t)__cvta_generic_to_shared(shared)), "l"(global), "n"(sizeof(T)), "r"(there ? (int)sizeof(T) : 0) : "memory");
}
// The same of 16 bytes that this multiprocessor will not read again: they do not pass through its cache.
__device__ __forceinline__ void copy_async_once(float4* shared, const float4* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((uint32_t)__cvta_generic_to_shared(shared)), "l"(global) : "memory");
}
// Ends a group of this thread's copies; copies_wait waits for all groups but the last LEAVE.
__device__ __forceinline__ void copies_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int LEAVE>
__device__ __forceinline__ void copies_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(LEAVE) : "memory"); }
#else
inline void copy_async_once(float4* shared, const float4* global) { copy_async(shared, global, true); }
#endif

// Four numbers from p on where there is a p, else zeros; count says how many there are.
__device__ __forceinline__ void copy_quad(float* to, const float* p, bool there, bool wide, int count, const float* any) {
  if (wide) {
    copy_async((float4*)to, (const float4*)(there && count > 0 ? p : any), there && count > 0);
    return;
  }
#pragma unroll
  for (int e = 0; e < 4; e++) copy_async(to + e, there && e < count ? p + e : any, there && e < count);
}
