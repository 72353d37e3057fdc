/*
 * Tries whether the kernel has what IPIP peers share an interface with. Runs in the server's broker
 * before it makes anything, and in `vprox check` and `vprox clean`.
 */
#include "plane/kernel/shared_probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/netlink.h>

#include "netlink/flower.h"
#include "netlink/link.h"
#include "netlink/request.h"
#include "netlink/socket.h"
#include "plane/kernel/device.h"

enum { LIST_SIZE = 128 };

static const char name[] = PLANE_PROBE_NAME;
static const char hook_module[] = "sch_ingress";
/* By kind, and the module that is of it. */
static const struct kind_module {
	const char *kind, *module;
} classifiers[] = {{"flower", "cls_flower"}, {"matchall", "cls_matchall"}},
  actions[] = {{"gact", "act_gact"}, {"skbedit", "act_skbedit"}, {"tunnel_key", "act_tunnel_key"}};

/* All that peers' filters are made of. */
static int try_filters(struct kernel_plane *kernel, unsigned int ifindex)
{
	const struct flower_peer peer = {.inner = {1}, .bind = {1}, .remote = {1}};
	const struct flower_place received = {ifindex, FLOWER_RECEIVED, 1};
	const struct flower_place sent = {ifindex, FLOWER_SENT, 1};
	struct netlink_request request;

	netlink_request_init(&request);
	flower_put_hook(&request, ifindex);
	flower_put_drop(&request, ifindex, 0);
	flower_put_peer(&request, &received, &peer, PLANE_SHARED_IPIP_MARK, NLM_F_EXCL);
	flower_put_peer(&request, &sent, &peer, 0, NLM_F_EXCL);
	return netlink_execute(kernel->route, &request);
}

static void add_module(char list[static LIST_SIZE], const char *module)
{
	const size_t length = strlen(list);

	snprintf(list + length, LIST_SIZE - length, "%s%s", length > 0 ? " " : "", module);
}

/* Which modules these are, after the filters could not be made. What filters are made of is asked
 * for without its options, which the kernel misses only where it has the kind. */
static void list_missing(
	struct kernel_plane *kernel, unsigned int ifindex, char list[static LIST_SIZE])
{
	enum {
		HOOK,
		CLASSIFIERS,
		N_CLASSIFIERS = sizeof classifiers / sizeof *classifiers,
		ACTIONS = CLASSIFIERS + N_CLASSIFIERS,
		N_ACTIONS = sizeof actions / sizeof *actions,
		N_MESSAGES = ACTIONS + N_ACTIONS,
	};
	struct netlink_request request;
	int errors[N_MESSAGES];

	list[0] = '\0';
	netlink_request_init(&request);
	flower_put_hook(&request, ifindex);
	for (size_t i = 0; i < N_CLASSIFIERS; i++)
		flower_put_bare_filter(&request, ifindex, classifiers[i].kind);
	for (size_t i = 0; i < N_ACTIONS; i++)
		flower_put_bare_action(&request, actions[i].kind);
	netlink_transact(kernel->route, &request, errors, NULL, NULL);
	if (errors[HOOK] < 0 && errors[HOOK] != -EEXIST)
		add_module(list, hook_module);
	for (size_t i = 0; i < N_CLASSIFIERS; i++)
		if (errors[CLASSIFIERS + i] == -ENOENT)
			add_module(list, classifiers[i].module);
	for (size_t i = 0; i < N_ACTIONS; i++)
		if (errors[ACTIONS + i] == -ENOENT)
			add_module(list, actions[i].module);
}

static int make_link(struct kernel_plane *kernel, struct link *link)
{
	const struct ipv4 loopback = {0x7f000001};
	struct netlink_request request;

	*link = (struct link){0};
	netlink_request_init(&request);
	link_put_new_ipip(&request, name, loopback, loopback);
	link_put_get(&request, name);
	return netlink_transact(kernel->route, &request, NULL, link_read_reply, link);
}

/* error: of what was tried, whose text is kept first. */
static void explain(struct kernel_plane *kernel, unsigned int ifindex, int error)
{
	struct plane *plane = &kernel->plane;
	char list[LIST_SIZE];

	snprintf(plane->error, sizeof plane->error,
		"this kernel has not all that --ipip-mode=shared needs (%s%s%s)", strerror(-error),
		*netlink_error(kernel->route) ? ": " : "", netlink_error(kernel->route));
	list_missing(kernel, ifindex, list);
	if (*list)
		snprintf(plane->error, sizeof plane->error,
			"this kernel lacks what --ipip-mode=shared needs: load the modules "
			"(modprobe -a %s), or use --ipip-mode=interface",
			list);
}

int kernel_shared_remove_probe(struct kernel_plane *kernel, bool is_dry_run)
{
	struct link link;
	int error = link_get(kernel->route, name, &link);

	if (error == 0 && strcmp(link.kind, "ipip") != 0)
		return 0;
	if (error == 0 && !is_dry_run)
		error = link_delete(kernel->route, link.ifindex);
	if (error == -ENODEV)
		return 0;
	return error < 0
		       ? kernel_fail(kernel, error, netlink_error(kernel->route), "remove %s", name)
		       : 1;
}

int kernel_shared_probe(struct kernel_plane *kernel)
{
	struct link link;
	int error;

	/* One that was left by a server that was killed may have filters already. */
	kernel_shared_remove_probe(kernel, false);
	error = make_link(kernel, &link);
	if (error < 0)
		return kernel_fail(kernel, error, netlink_error(kernel->route), "make %s", name);
	error = try_filters(kernel, link.ifindex);
	if (error < 0)
		explain(kernel, link.ifindex, error);
	link_delete(kernel->route, link.ifindex);
	return error < 0 ? -ENOSYS : 0;
}
