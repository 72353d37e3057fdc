/* A configuration that was read again is put in force while the server runs. */
#pragma once

struct config_source;
struct server_config;
struct serving;

/* What it changes: the caller's. */
struct reload {
	const struct config_source *source;
	struct server_config *config; /* the one in force */
	const struct serving *serving;
	/* There are other --follow, another --reap-interval, and other tokens. */
	void (*follow)(void *context);
	void (*pace)(void *context);
	void (*names)(void *context);
	/* All is in force, but for what one of these is still at work on: reload_say() is to be
	 * called when that is through, with these words. */
	void (*end)(void *context, const char *changes);
	void *context;
};

/* Reads it again and puts it in force; what cannot be used changes nothing. Logs. Returns 0, or
 * -EALREADY if there is nothing to be read again. */
int reload_configuration(const struct reload *reload);
/* Who waits for it is told that all is in force. */
void reload_say(const char *changes);
