#include "checksum.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>

int bongsu_crc32c_hardware_available(void) { return __builtin_cpu_supports("sse4.2") != 0; }

__attribute__((target("sse4.2")))
uint32_t bongsu_crc32c_hardware(uint32_t state, const void *bytes, size_t count) {
  const unsigned char *next = bytes;
  uint64_t wide = state;
  for (; count >= 8; count -= 8, next += 8) {
    uint64_t word;
    memcpy(&word, next, sizeof word);
    wide = _mm_crc32_u64(wide, word);
  }
  uint32_t narrow = (uint32_t)wide;
  for (; count > 0; count--, next++) narrow = _mm_crc32_u8(narrow, *next);
  return narrow;
}

#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>

int bongsu_crc32c_hardware_available(void) { return (getauxval(AT_HWCAP) & (1 << 7)) != 0; /* HWCAP_CRC32 */ }

__attribute__((target("+crc")))
uint32_t bongsu_crc32c_hardware(uint32_t state, const void *bytes, size_t count) {
  const unsigned char *next = bytes;
  for (; count >= 8; count -= 8, next += 8) {
    uint64_t word;
    memcpy(&word, next, sizeof word);
    state = __crc32cd(state, word);
  }
  for (; count > 0; count--, next++) state = __crc32cb(state, *next);
  return state;
}

#else

int bongsu_crc32c_hardware_available(void) { return 0; }
uint32_t bongsu_crc32c_hardware(uint32_t state, const void *bytes, size_t count) {
  (void)bytes;
  (void)count;
  return state;
}

#endif
