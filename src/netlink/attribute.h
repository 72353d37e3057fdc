/*
 * Reading the attributes of a netlink message. Nothing is trusted: an attribute that runs over the
 * end of what holds it ends the reading, one of an unexpected size counts as absent.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ipv4.h"

struct nlattr;
struct nlmsghdr;

/* The family's own header behind the netlink header; NULL if the message is too short for it. */
const void *message_header(const struct nlmsghdr *message, size_t header_size);

/*
 * table[type] becomes the message's (or the nest's) attribute of that type, the last one of
 * several, else NULL; types of n and above are left out. A nest may be NULL: then all are absent.
 */
void attributes_of_message(
	const struct nlmsghdr *message, size_t header_size, const struct nlattr **table, size_t n);
void attributes_of_nest(const struct nlattr *nest, const struct nlattr **table, size_t n);
void attributes_of_bytes(const void *bytes, size_t length, const struct nlattr **table, size_t n);

/* Walks the attributes in a nest: the one after previous (NULL: the first), NULL after the last.
 * The nest may be NULL: it has none. */
const struct nlattr *attribute_next(const struct nlattr *nest, const struct nlattr *previous);

/* The attribute may be NULL. False, and the value left alone, if it is absent or too short. */
bool attribute_bytes(const struct nlattr *attribute, void *value, size_t length);
bool attribute_u8(const struct nlattr *attribute, uint8_t *value);
bool attribute_u16(const struct nlattr *attribute, uint16_t *value);
bool attribute_u32(const struct nlattr *attribute, uint32_t *value);
bool attribute_u64(const struct nlattr *attribute, uint64_t *value);
bool attribute_ipv4(const struct nlattr *attribute, struct ipv4 *address);
/* Cut to size - 1 bytes; always ends in NUL, "" if absent. */
bool attribute_string(const struct nlattr *attribute, char *text, size_t size);
