/*
 * Finds families of generic netlink, and begins messages for them. Runs in the broker, the client
 * and `vprox clean`.
 */
#include "netlink/genetlink.h"

#include <errno.h>
#include <stddef.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "netlink/attribute.h"
#include "netlink/request.h"
#include "netlink/socket.h"

enum {
	CONTROLLER_VERSION = 1,
};

void genetlink_add(
	struct netlink_request *request, uint16_t family, uint8_t command, uint8_t version)
{
	struct genlmsghdr *header = netlink_add(request, family, 0, sizeof *header);

	header->cmd = command;
	header->version = version;
}

static int read_family(void *context, size_t number, const struct nlmsghdr *message)
{
	const struct nlattr *table[CTRL_ATTR_FAMILY_ID + 1];

	(void)number;
	attributes_of_message(
		message, sizeof(struct genlmsghdr), table, sizeof table / sizeof *table);
	attribute_u16(table[CTRL_ATTR_FAMILY_ID], context);
	return 0;
}

int genetlink_family(struct netlink *netlink, const char *name, uint16_t *family)
{
	struct netlink_request request;
	uint16_t found = 0;
	int error;

	netlink_request_init(&request);
	genetlink_add(&request, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CONTROLLER_VERSION);
	netlink_put_string(&request, CTRL_ATTR_FAMILY_NAME, name);
	error = netlink_transact(netlink, &request, NULL, read_family, &found);
	if (error == 0 && found == 0)
		error = -EBADMSG;
	if (error == 0)
		*family = found;
	return error;
}
