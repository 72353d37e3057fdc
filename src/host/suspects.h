/* The rules of this host's other firewalls that may drop what belongs to tunnels, as text for
 * people: whether they do depends on conditions, which are not interpreted. */
#pragma once

/*
 * Of what is forwarded for tunnels: 'the rule with handle 7 of the chain "f" of the nftables table
 * inet mine, ...', the first ones; "" if there are none. Asks the kernel for those of nftables;
 * legacy is what iptables-legacy-save prints, or NULL. NULL: that failed. The caller frees it.
 */
char *forward_suspects(const char *legacy);

/*
 * Likewise of what comes to this host, such as the packets that tunnels are made of. A policy is
 * named as 'the policy of the chain ...'. Starts iptables-legacy-save where that has rules.
 */
char *input_suspects(void);
