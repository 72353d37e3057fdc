/* ChaCha20 in lanes, for a processor with AVX2: CHACHA20_LANES blocks. */
#pragma once

#include "device/crypto/chacha20_lanes.h"

#ifdef __x86_64__
chacha20_lanes_fn chacha20_lanes_avx2;
#endif
