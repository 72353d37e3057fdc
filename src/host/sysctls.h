/* The kernel's settings that forwarding needs. They stay when the server stops. */
#pragma once

struct host_config;
struct netlink;

/*
 * Once the bind addresses are there: switches IPv4 forwarding on where it is off, and loosens the
 * check of source addresses (rp_filter) on an interface that holds a bind address while answers
 * leave by another one. Logs what it changes from what to what. netlink is of NETLINK_ROUTE.
 * Returns 0 or -errno, logged.
 */
int sysctls_prepare(struct netlink *netlink, const struct host_config *config);

/*
 * The same while the server runs, to be called every few seconds (`sysctl --system` and others set
 * them back): the tunnels' own settings are read only if forwarding was off in general, for the
 * tunnels to come or for one of the vprox<i>.
 */
int sysctls_reconcile(struct netlink *netlink, const struct host_config *config);
