/* What may change of a gate's configuration while it runs. */
#pragma once

#include <stdint.h>

#include "ipc/bearer.h"

struct live_settings {
	struct bearer bearer;
	uint32_t max_connections_per_source; /* of all gates; at least 1 */
	uint32_t log_level; /* enum log_level */
	uint32_t log_format; /* enum log_format */
	uint32_t reserved; /* zero */
};
