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
	RULESET_INTERFACE_SIZE = 16, /* IFNAMSIZ */
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
	RULESET_NONE, /* it counts, logs or marks, and what comes next is asked */
	RULESET_ACCEPT,
	RULESET_STOP, /* drops or rejects */
	RULESET_RETURN,
	RULESET_JUMP, /* jumps to the target; what returns from there goes on behind the rule */
	RULESET_GOTO, /* likewise; what returns from there goes on where this chain would return */
	RULESET_UNKNOWN, /* a map of verdicts, a queue, a target that we do not know */
};

/* A condition: by which interface a packet comes or goes, iifname "vprox0" or oifname "vp0-*". */
struct ruleset_interface {
	enum { RULESET_NO_INTERFACE, RULESET_IIFNAME, RULESET_OIFNAME } key;
	bool is_prefix; /* the name only begins so */
	char name[RULESET_INTERFACE_SIZE];
};

struct ruleset_rule {
	uint64_t handle; /* in a table of iptables-legacy: its number in the chain, from 1 */
	char chain[RULESET_NAME_SIZE];
	bool is_conditional; /* the verdict is not for every packet that gets here */
	enum ruleset_verdict verdict;
	char target[RULESET_NAME_SIZE]; /* of RULESET_JUMP and RULESET_GOTO */
	/* The one condition of the rule; not set where there is another one, or in a table of
	 * iptables-legacy. */
	struct ruleset_interface interface;
};

/* What a target of xtables' that is no chain decides: RULESET_NONE, RULESET_STOP, or
 * RULESET_UNKNOWN. */
enum ruleset_verdict ruleset_target_verdict(const char *name);

/* One message of the kernel's answer, NFT_MSG_NEWCHAIN and NFT_MSG_NEWRULE. Return 0 or -EBADMSG.
 */
int ruleset_decode_chain(const struct nlmsghdr *message, struct ruleset_chain *chain);
int ruleset_decode_rule(const struct nlmsghdr *message, struct ruleset_rule *rule);
