/* libsodium's hash functions: the library that libzmq's CURVE stands on, so it is there anyway. No logic. */
#ifndef BONGSU_SODIUM_SHIM_H
#define BONGSU_SODIUM_SHIM_H

#include <sodium.h>

#endif
