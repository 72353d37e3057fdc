/*
 * Chains and rules of nftables as the kernel describes them (linux/netfilter/nf_tables.h), reduced
 * to what matters here: whether a packet can pass.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct nlmsghdr;

enum {
	RULESET_NAME_SIZE = 256, /* NFT_NAME_MAXLEN, with the final NUL */
};

struct ruleset_chain {
	uint8_t family; /* NFPROTO_* */
	char table[RULESET_NAME_SIZE];
	char name[RULESET_NAME_SIZE];
	bool is_base; /* false: the rest is not set */
	uint32_t hook; /* NF_INET_*, or another family's numbers */
	bool policy_drop;
};

enum ruleset_verdict {
	RULESET_OTHER, /* of any kind, with conditions or without */
	RULESET_STOP, /* drops or rejects whatever gets here */
	RULESET_JUMP, /* jumps or goes to the chain, without conditions */
};

struct ruleset_rule {
	uint64_t handle;
	enum ruleset_verdict verdict;
	char target[RULESET_NAME_SIZE]; /* of RULESET_JUMP */
};

/* One message of the kernel's answer, NFT_MSG_NEWCHAIN and NFT_MSG_NEWRULE. Return 0 or -EBADMSG.
 */
int ruleset_decode_chain(const struct nlmsghdr *message, struct ruleset_chain *chain);
int ruleset_decode_rule(const struct nlmsghdr *message, struct ruleset_rule *rule);
