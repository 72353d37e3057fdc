/* What nft has to do in another program's table so that its chain VPROX is jumped to where it
 * should be, and from nowhere else. Pure: rules in, text out. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct host_config;
struct ruleset_place;
struct ruleset_table;

#define FOREIGN_CHAIN "VPROX"

struct foreign_wish {
	const struct host_config *config;
	uint8_t family; /* of those ruleset_family_name() knows */
	const char *table_name;
	const struct ruleset_place *places; /* each once */
	size_t n_places;
};

/*
 * One transaction; "" if all is as it should be. Without places VPROX is removed if it has rules or
 * is jumped to. The caller frees it; NULL when there is no memory.
 */
char *foreign_commands(const struct foreign_wish *wish, const struct ruleset_table *table);

/* The commands that remove VPROX, which is there, and all jumps to it. Likewise. */
char *foreign_removal_commands(
	uint8_t family, const char *table_name, const struct ruleset_table *table);
