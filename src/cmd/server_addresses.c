/* Checks the addresses and the blocks that `vprox server` is given: each by itself as it is read,
 * and together when all are. Runs in the server's process, before it does anything. */
#include "cmd/server_addresses.h"

#include <string.h>

#include "base/log.h"
#include "cmd/usage.h"
#include "cmd/values.h"
#include "server/config.h"

/* One of the blocks, given as text, that overlaps. NULL: none does. */
static const char *overlapping(struct prefix block, const char *const *others, size_t n)
{
	struct prefix other;

	for (size_t i = 0; i < n; i++)
		if (prefix_parse(others[i], &other) == 0 && prefix_overlaps(block, other))
			return others[i];
	return NULL;
}

static const char *const unusable[] = {"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"};

/* One that clients cannot reach. NULL: none. */
static const char *unusable_part(struct prefix addresses)
{
	return overlapping(addresses, unusable, sizeof unusable / sizeof *unusable);
}

int server_add_ip(const struct option_use *use, void *field)
{
	struct server_config *config = field;
	struct ipv4 address;

	if (ipv4_parse(use->text, &address) < 0)
		return option_error(use, "not an IPv4 address");
	if (unusable_part((struct prefix){address, 32}))
		return option_error(use, "clients cannot reach such an address");
	if (ipv4_is_among(address, config->binds, config->n_binds))
		return option_error(use, "given twice: leave one out");
	if (config->n_binds == MAX_BINDS)
		return option_error(use, "there are %d already, more are not possible", MAX_BINDS);
	config->binds[config->n_binds++] = address;
	return 0;
}

int server_add_followed(const struct option_use *use, void *field)
{
	struct server_config *config = field;
	struct prefix addresses;

	if (prefix_parse(use->text, &addresses) < 0)
		return option_error(use, "not an IPv4 block such as 203.0.113.0/24");
	if (unusable_part(addresses))
		return option_error(use, "overlaps with %s: clients cannot reach such an address",
			unusable_part(addresses));
	if (config->n_followed == MAX_FOLLOWED)
		return option_error(
			use, "there are %d already, more are not possible", MAX_FOLLOWED);
	config->followed[config->n_followed++] = addresses;
	return 0;
}

/* Host bits are masked off: who has given some may have meant another block. */
static void tell_block(const struct option_use *use, struct prefix block)
{
	if (strncmp(use->text, ipv4_text(block.address).s, strcspn(use->text, "/")) != 0)
		log_warning("--wg-block %s: is the block %s", use->text, prefix_text(block).s);
}

int server_parse_block(const struct option_use *use, void *field)
{
	static const char *const unroutable[] = {
		"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4"};
	struct server_config *config = field;
	const char *other;

	if (prefix_parse(use->text, &config->whole_block) < 0)
		return option_error(use, "not an IPv4 block such as 10.100.0.0/16");
	if (config->whole_block.length > SHORTEST_BLOCK)
		return option_error(use, "has no room for a client: a length up to /%d is possible",
			SHORTEST_BLOCK);
	other = overlapping(
		config->whole_block, unroutable, sizeof unroutable / sizeof *unroutable);
	if (other)
		return option_error(use, "overlaps with %s, which cannot be routed", other);
	tell_block(use, config->whole_block);
	return 0;
}

int server_parse_block_length(const struct option_use *use, void *field)
{
	struct server_config *config = field;
	unsigned int length;

	if (use->text[0] != '/' ||
		option_parse_number(use->text + 1, 1, SHORTEST_BLOCK, &length) < 0)
		return option_error(
			use, "must be a slash and a length up to %d, such as /24", SHORTEST_BLOCK);
	config->block_length = (uint8_t)length;
	return 0;
}

/* The length of the largest blocks that there are enough of for all --ip. */
static uint8_t length_needed(const struct server_config *config)
{
	uint8_t length = config->whole_block.length;

	while (length < 32 &&
		UINT64_C(1) << (length - config->whole_block.length) < config->n_binds)
		length++;
	return length;
}

static int check_lengths(const struct server_config *config)
{
	const struct prefix whole = config->whole_block;
	const uint8_t needed = length_needed(config);

	if (config->block_length < whole.length)
		return usage_error(&command_server,
			"--wg-block-per-ip /%u: larger than --wg-block %s", config->block_length,
			prefix_text(whole).s);
	if (needed > SHORTEST_BLOCK)
		return usage_error(&command_server, "--wg-block %s: too small for %zu --ip",
			prefix_text(whole).s, config->n_binds);
	if (config->block_length < needed)
		return usage_error(&command_server,
			"--wg-block %s: %zu --ip need as many blocks, and there are not so many of "
			"length /%u; give --wg-block-per-ip /%u or longer",
			prefix_text(whole).s, config->n_binds, config->block_length, needed);
	return 0;
}

static int check_outside(const struct server_config *config)
{
	const struct prefix whole = config->whole_block;

	for (size_t i = 0; i < config->n_binds; i++)
		if (prefix_contains(whole, config->binds[i]))
			return usage_error(&command_server,
				"--ip %s: lies inside --wg-block %s; choose another block",
				ipv4_text(config->binds[i]).s, prefix_text(whole).s);
	for (size_t i = 0; i < config->n_followed; i++)
		if (prefix_overlaps(whole, config->followed[i]))
			return usage_error(&command_server,
				"--follow %s: overlaps with --wg-block %s; choose another block",
				prefix_text(config->followed[i]).s, prefix_text(whole).s);
	return 0;
}

static int check_names(const struct server_config *config, unsigned int index)
{
	struct prefix block;

	prefix_subnet(config->whole_block, config->block_length, index, &block);
	if (!plane_names_fit(index, block))
		return usage_error(&command_server,
			"--wg-block-per-ip /%u: so large that the names of its interfaces would be "
			"longer than 15 characters",
			config->block_length);
	return 0;
}

int server_check_addresses(struct server_config *config)
{
	int error;

	if (config->n_binds == 0 && !server_config_expects_any(config))
		return usage_error(&command_server, "--ip is missing: name an address to serve, or "
						    "with --follow those that there may be");
	if (config->whole_block.length == 0)
		return usage_error(&command_server, "--wg-block is missing: name the block of the "
						    "inner addresses, such as 10.100.0.0/16");
	config->is_block_cut = config->block_length != 0;
	if (config->block_length == 0 && config->n_followed > 0)
		return usage_error(&command_server,
			"--wg-block-per-ip is missing: with --follow, say how large the block of "
			"each address is, such as /24");
	if (config->block_length == 0)
		config->block_length = config->whole_block.length;
	error = check_lengths(config);
	if (error == 0)
		error = check_outside(config);
	for (unsigned int i = 0; error == 0 && i < server_config_max_endpoints(config); i++)
		error = check_names(config, i);
	return error;
}
