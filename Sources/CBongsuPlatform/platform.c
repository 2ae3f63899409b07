/* A C target needs one source file; everything else is inline in the header. */
#include "platform.h"
