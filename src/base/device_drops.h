/* Why an embedded device drops packets: what its control socket calls the reasons, docs/uapi.md,
 * "Drops". To add one, add a line. */
#pragma once

#define DEVICE_DROPS(DROP)                                                                         \
	DROP(MALFORMED, "malformed")                                                               \
	DROP(NO_TARGET, "no_target")                                                               \
	DROP(NO_ENDPOINT, "no_endpoint")                                                           \
	DROP(NO_SESSION, "no_session")                                                             \
	DROP(FORGED, "forged")                                                                     \
	DROP(REPLAYED, "replayed")                                                                 \
	DROP(SPOOFED, "spoofed")                                                                   \
	DROP(CONGESTED, "congested")                                                               \
	DROP(LOOPED, "looped")                                                                     \
	DROP(UNKNOWN_SOURCE, "unknown_source")                                                     \
	DROP(HANDSHAKES, "handshakes")                                                             \
	DROP(UNSENT, "unsent")                                                                     \
	DROP(UNKNOWN, "unknown")                                                                   \
	DROP(LIMITED, "limited")                                                                   \
	DROP(COOKIES, "cookies")

#define DEVICE_DROP_OF(name, text) DEVICE_DROP_##name,
enum device_drop {
	DEVICE_DROPS(DEVICE_DROP_OF) /* none: */
	DEVICE_N_DROPS,
};
#undef DEVICE_DROP_OF

extern const char *const device_drop_names[DEVICE_N_DROPS];

/* The one that is called so; DEVICE_N_DROPS: none is. */
enum device_drop device_drop_named(const char *name);
