/* LZ4's block interface. No logic. */
#ifndef BONGSU_LZ4_SHIM_H
#define BONGSU_LZ4_SHIM_H

#include <lz4.h>

#if LZ4_VERSION_NUMBER < 10900
#error "liblz4 1.9 or later is needed: install liblz4-dev"
#endif

#endif
