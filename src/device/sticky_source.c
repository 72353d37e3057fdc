/* Whether the address that a peer's packets came to is still one to send from, by the kernel's
 * routes. Runs in every worker, and in the control thread. */
#include "device/sticky_source.h"

#include <errno.h>
#include <string.h>

#include "device/io/udp.h"
#include "netlink/route_egress.h"

static struct route_flow flow_of(int fd, const struct udp_endpoint *to)
{
	struct route_flow flow = {.family = to->family,
		.from = to->local6,
		.from_port = htons((uint16_t)udp_port(fd)),
		.mark = udp_mark(fd)};

	if (to->family == AF_INET) {
		memcpy(&flow.to, &to->v4.sin_addr, sizeof to->v4.sin_addr);
		flow.to_port = to->v4.sin_port;
	} else {
		flow.to = to->v6.sin6_addr;
		flow.to_port = to->v6.sin6_port;
	}
	return flow;
}

static bool leads_back(struct netlink *netlink, int fd, const struct udp_endpoint *to)
{
	struct route_flow flow;
	int interface;

	if (to->family == AF_INET6 && to->v6.sin6_scope_id != 0)
		return true; /* link-local: its address has the interface in it */
	flow = flow_of(fd, to);
	interface = route_egress(netlink, &flow);
	/* where nothing leads there, it is not for our address */
	if (interface < 0)
		return interface != -EINVAL;
	return interface == (int)to->interface;
}

void sticky_source_check(struct netlink *netlink, const struct shared *shared,
	struct peer_address *address, uint32_t version, int fd, struct udp_endpoint *to)
{
	uint32_t generation = atomic_load_explicit(&shared->routes, memory_order_relaxed);
	enum source_judgement judgement;

	if (!udp_endpoint_has_source(to))
		return;
	judgement = peer_address_judgement(address, version, generation);
	if (judgement == SOURCE_NOT_JUDGED) {
		bool keep = leads_back(netlink, fd, to);

		peer_address_judge(address, version, generation, keep);
		judgement = keep ? SOURCE_KEPT : SOURCE_REFUSED;
	}
	if (judgement == SOURCE_REFUSED)
		udp_endpoint_forget_source(to);
}
