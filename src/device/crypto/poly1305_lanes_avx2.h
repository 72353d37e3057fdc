/* Poly1305 in lanes, for a processor with AVX2. */
#pragma once

#include "device/crypto/poly1305_lanes.h"

#ifdef __x86_64__
poly1305_lanes_fn poly1305_lanes_avx2;
#endif
