/* The rules of this host's other firewalls that may drop what tunnels send, as text for the log. */
#pragma once

/*
 * 'the rule with handle 7 of the chain "f" of the nftables table inet mine, ...', the first ones;
 * "" if there are none. Asks the kernel for those of nftables; legacy is what iptables-legacy-save
 * prints, or NULL. NULL: that failed. The caller frees it.
 */
char *forward_suspects(const char *legacy);
