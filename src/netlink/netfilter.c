/* Begins messages of netfilter. Runs wherever there is a socket of NETLINK_NETFILTER. */
#include "netlink/netfilter.h"

#include <linux/netfilter/nfnetlink.h>

#include "netlink/request.h"

struct nfgenmsg *netfilter_add(struct netlink_request *request, uint8_t subsystem, uint16_t type,
	uint16_t flags, uint8_t family)
{
	struct nfgenmsg *header =
		netlink_add(request, (uint16_t)(subsystem << 8 | type), flags, sizeof *header);

	header->nfgen_family = family;
	header->version = NFNETLINK_V0;
	return header;
}
