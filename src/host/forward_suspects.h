/* The rules of this host's other firewalls that may drop what tunnels send, as text for the log. */
#pragma once

/*
 * 'the rule with handle 7 of the chain "f" of the nftables table inet mine, ...', the first ones;
 * "" if there are none. Asks the kernel, and where iptables-legacy is in use, that program; blocks.
 * NULL: that failed. The caller frees it.
 */
char *forward_suspects(void);
