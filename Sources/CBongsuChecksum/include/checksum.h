/* CRC32C (Castagnoli, RFC 3720 appendix B.4) by the processor's own instruction.
 *
 * C because neither Swift nor its standard library can emit the instruction. The table version for processors without
 * it is Swift (Sources/RecordLog/CRC32C.swift); the tests hold both to the same answers. */
#ifndef BONGSU_CHECKSUM_H
#define BONGSU_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Whether this processor has the instruction; constant for the life of the process. */
int bongsu_crc32c_hardware_available(void);

/* Feeds `count` bytes into the raw (not inverted) CRC register `state` and returns the new register.
 * Only where bongsu_crc32c_hardware_available() is not zero. */
uint32_t bongsu_crc32c_hardware(uint32_t state, const void *bytes, size_t count);

#endif
