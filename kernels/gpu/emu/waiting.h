// What nccl.cc asks of driver.cc.
#pragma once
#include <stddef.h>
#include <functional>

namespace emu {
int device_in_use();  // -1: the thread has no context
bool capturing(void* stream);
// Enqueues f, which is called again until it returns true. The memory that it works on must exist. Returns a CUresult.
int enqueue_waiting(void* stream, const void* memory, size_t size, std::function<bool()> f);
}  // namespace emu
