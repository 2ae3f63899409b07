/* zlib's one-shot use as gzip. The initialiser is a macro, which Swift cannot call. */
#ifndef BONGSU_ZLIB_SHIM_H
#define BONGSU_ZLIB_SHIM_H

#include <string.h>
#include <zlib.h>

/* The most bytes that `length` bytes can become. */
static inline size_t bongsu_gzip_bound(size_t length) { return compressBound(length) + 32; }

/* Compresses as gzip (RFC 1952). Returns the length written to `to`, 0 when it fails or does not fit. */
static inline size_t bongsu_gzip(const unsigned char *from, size_t length, unsigned char *to, size_t room, int level) {
  z_stream stream;
  memset(&stream, 0, sizeof stream);
  /* 15 bits of window; 16 more ask for a gzip header. */
  if (deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return 0;
  stream.next_in = (unsigned char *)from;
  stream.avail_in = (unsigned)length;
  stream.next_out = to;
  stream.avail_out = (unsigned)room;
  int outcome = deflate(&stream, Z_FINISH);
  size_t written = stream.total_out;
  deflateEnd(&stream);
  return outcome == Z_STREAM_END ? written : 0;
}

#endif
