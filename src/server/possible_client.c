/* Which addresses an IPIP tunnel can lead to: of who asks for one, and of who was promised one.
 * Runs in the broker. */
#include "server/possible_client.h"

#include "server/config.h"

bool is_possible_client(const struct server_config *config, struct ipv4 address)
{
	const uint32_t first_octet = address.value >> 24;

	return !ipv4_is_among(address, config->binds, config->n_binds) && first_octet != 0 &&
	       first_octet != 127 && first_octet < 224 &&
	       !prefix_contains(config->whole_block, address);
}
