/*
 * Runs commands in nft's language in this process, by libnftables. It blocks until the kernel has
 * answered.
 */
#include "nftables/nft.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>

#include "netlink/socket.h"

/* nft's first line is the reason, the next ones point at the place in the text. */
static void keep_first_line(const char *message, struct nft_error *error)
{
	size_t length = strcspn(message, "\n");

	if (length == 0)
		message = "no reason given", length = strlen(message);
	snprintf(error->text, sizeof error->text, "%.*s", (int)length, message);
}

/* libnftables ends the process where it cannot have a socket. */
static bool has_nftables(struct nft_error *error)
{
	struct netlink *netlink;
	int result = netlink_open(NETLINK_NETFILTER, &netlink);

	if (result == 0)
		netlink_close(netlink);
	else
		snprintf(error->text, sizeof error->text, "%s", strerror(-result));
	return result == 0;
}

static int run(const char *commands, bool dry_run, struct nft_error *error)
{
	struct nft_ctx *nft;
	int result = 0;

	if (!has_nftables(error))
		return -EIO;
	nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!nft) {
		snprintf(error->text, sizeof error->text, "out of memory");
		return -ENOMEM;
	}
	nft_ctx_set_dry_run(nft, dry_run);
	if (nft_ctx_buffer_error(nft) != 0 || nft_ctx_buffer_output(nft) != 0) {
		snprintf(error->text, sizeof error->text, "out of memory");
		result = -ENOMEM;
		goto out;
	}
	if (nft_run_cmd_from_buffer(nft, commands) != 0) {
		keep_first_line(nft_ctx_get_error_buffer(nft), error);
		result = -EIO;
	}
out:
	nft_ctx_free(nft);
#ifdef __GLIBC__
	/* It has read all chains there are: megabytes on some hosts, never needed again. */
	malloc_trim(0);
#endif
	return result;
}

int nft_run(const char *commands, struct nft_error *error)
{
	return run(commands, false, error);
}

bool nft_would_run(const char *commands)
{
	struct nft_error error;

	return run(commands, true, &error) == 0;
}
