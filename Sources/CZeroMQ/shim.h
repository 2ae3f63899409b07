/* libzmq's C interface, and the constants that Swift cannot read from its macros. No logic. */
#ifndef BONGSU_ZEROMQ_SHIM_H
#define BONGSU_ZEROMQ_SHIM_H

#include <errno.h>
#include <zmq.h>

#if ZMQ_VERSION < ZMQ_MAKE_VERSION(4, 3, 0)
#error "libzmq 4.3 or later is needed: install libzmq3-dev"
#endif

/* Written as an expression of another macro in zmq.h. */
static const int BONGSU_ZMQ_ETERM = ETERM;

/* In the draft part of the header, but every 4.3 build of the library handles it (options.cpp). */
static const int BONGSU_ZMQ_ZAP_ENFORCE_DOMAIN = 93;

/* Deprecated, and the only way to learn which connection a message came from. */
static const int BONGSU_ZMQ_SRCFD = 2;

#endif
