/* Reads an endpoint's interface and peers from the data plane. Runs in `vprox check`. */
#include "check/there.h"

#include <errno.h>
#include <stdio.h>

#include "check/disagreements.h"
#include "check/holders.h"
#include "plane/interface.h"

static const char soon[] = "the server puts it right within --reap-interval; if it does not, see "
			   "its log";
static const char restart[] = "restart the server: it judges what is there";

struct viewing {
	const struct plane_endpoint *endpoint;
	struct holder_list *holders;
	struct disagreements *disagreements;
};

static int add(
	const struct viewing *viewing, const char *subject, const char *fault, const char *remedy)
{
	struct disagreement disagreement = {.bind = viewing->endpoint->bind, .remedy = remedy};

	snprintf(disagreement.subject, sizeof disagreement.subject, "%s", subject);
	snprintf(disagreement.fault, sizeof disagreement.fault, "%s", fault);
	return disagreements_add(viewing->disagreements, &disagreement);
}

static int judge_interface(const struct viewing *viewing, unsigned int lacks)
{
	static const struct {
		enum interface_part part;
		const char *fault;
	} parts[] = {
		{INTERFACE_UP, "is down"},
		{INTERFACE_ALIAS, "has not its alias, the public address"},
		{INTERFACE_ADDRESS, "has not the gateway's address"},
		{INTERFACE_ROUTE, "has not the route to its block"},
	};
	int error = 0;

	for (size_t i = 0; i < sizeof parts / sizeof *parts && error == 0; i++)
		if (lacks & parts[i].part)
			error = add(viewing, plane_device_name(viewing->endpoint->index).s,
				parts[i].fault, soon);
	return error;
}

/* Of an IPIP link; the others have none of their own. */
static int judge_link(const struct viewing *viewing, const struct plane_found *found)
{
	char fault[DISAGREEMENT_FAULT_SIZE];

	if (found->peer.kind != PEER_IPIP)
		return 0;
	if (!ipv4_equal(found->local, viewing->endpoint->bind)) {
		snprintf(fault, sizeof fault, "is a tunnel from %s", ipv4_text(found->local).s);
		return add(viewing, found->interface.s, fault, restart);
	}
	if (ipv4_equal(found->routed, found->peer.inner))
		return 0;
	snprintf(fault, sizeof fault, "has not the route to %s", ipv4_text(found->peer.inner).s);
	return add(viewing, found->interface.s, fault, soon);
}

static int keep(void *context, const struct plane_found *found)
{
	const struct viewing *viewing = context;
	const struct holder holder = {viewing->endpoint->bind, found->peer};
	int error = holders_add(viewing->holders, &holder);

	return error < 0 ? error : judge_link(viewing, found);
}

/* A device that is dying, or hangs. */
static bool does_not_answer(int error)
{
	return error == -ENODEV || error == -ENOENT || error == -ECONNREFUSED ||
	       error == -ECONNRESET || error == -EPIPE || error == -ETIMEDOUT;
}

int there_read(struct plane *plane, const struct plane_endpoint *endpoint,
	struct holder_list *holders, struct disagreements *disagreements, bool *has_device)
{
	const struct viewing viewing = {endpoint, holders, disagreements};
	struct plane_device *device;
	unsigned int lacks = 0;
	int error = plane->ops->view(plane, endpoint, &lacks, &device);

	*has_device = error == 0;
	if (error == -ENODEV)
		return add(&viewing, plane_device_name(endpoint->index).s, "is not there", soon);
	if (error < 0)
		return error;
	error = judge_interface(&viewing, lacks);
	if (error == 0)
		error = plane->ops->find(device, keep, (void *)&viewing);
	plane->ops->close(device, true);
	if (!does_not_answer(error))
		return error;
	*has_device = false;
	return add(&viewing, plane_device_name(endpoint->index).s, "does not answer", soon);
}
