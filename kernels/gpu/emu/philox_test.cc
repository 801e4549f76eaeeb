// The device's Philox4x32-10 words against the known answers of Random123 (kat_vectors), which kernels/simd tests the CPU's
// with. The words behind a sampler's normals are compared by TestNormals of package hbar/cuda.
//   g++ -std=c++17 -include registry.h philox_test.cc emu.cc wgmma.cc -o philox_test && ./philox_test
#include "../device.cuh"

int main() {
  const uint32_t f = 0xffffffff;
  const struct { U4 counter; uint32_t key[2]; U4 want; } known[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{f, f, f, f}, {f, f}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const auto& k : known) {
    const U4 got = philox10(k.counter, k.key[0], k.key[1]);
    // counter and key as noise_block takes them: block, stream, sample; seed
    const U4 block = noise_block((uint64_t)k.key[1] << 32 | k.key[0], k.counter.y, (uint64_t)k.counter.w << 32 | k.counter.z, k.counter.x);
    if (memcmp(&got, &k.want, sizeof got) || memcmp(&block, &k.want, sizeof block)) {
      fprintf(stderr, "philox(%08x %08x %08x %08x) = %08x %08x %08x %08x, want %08x %08x %08x %08x\n", k.counter.x, k.counter.y,
              k.counter.z, k.counter.w, got.x, got.y, got.z, got.w, k.want.x, k.want.y, k.want.z, k.want.w);
      return 1;
    }
  }
}
