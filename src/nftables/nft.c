/*
 * Runs commands in nft's language in this process, by libnftables, which is loaded for that time
 * alone. It blocks until the kernel has answered.
 */
#include "nftables/nft.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>

#include "base/shared_library.h"
#include "netlink/socket.h"

/* nft's first line is the reason, the next ones point at the place in the text. */
static void keep_first_line(const char *message, struct nft_error *error)
{
	size_t length = strcspn(message, "\n");

	if (length == 0)
		message = "no reason given", length = strlen(message);
	snprintf(error->text, sizeof error->text, "%.*s", (int)length, message);
}

/*
 * What is used of the library. This program is many processes, most of which never call it, and in
 * each of them it and those that it needs would be some 0.2 MB; of the broker, which calls it at
 * times, more than a megabyte.
 */
struct libnftables {
	typeof(nft_ctx_new) *ctx_new;
	typeof(nft_ctx_free) *ctx_free;
	typeof(nft_ctx_set_dry_run) *ctx_set_dry_run;
	typeof(nft_ctx_buffer_output) *ctx_buffer_output;
	typeof(nft_ctx_buffer_error) *ctx_buffer_error;
	typeof(nft_ctx_get_error_buffer) *ctx_get_error_buffer;
	typeof(nft_run_cmd_from_buffer) *run_cmd_from_buffer;
};

#define FUNCTION(name)                                                                             \
	{                                                                                          \
		"nft_" #name, offsetof(struct libnftables, name)                                   \
	}

/* Returns what is to be unloaded, or NULL. */
static void *load(struct libnftables *nftables, struct nft_error *error)
{
	static const struct shared_library library = {"libnftables.so.1", "libnftables1"};
	static const struct shared_function functions[] = {
		FUNCTION(ctx_new),
		FUNCTION(ctx_free),
		FUNCTION(ctx_set_dry_run),
		FUNCTION(ctx_buffer_output),
		FUNCTION(ctx_buffer_error),
		FUNCTION(ctx_get_error_buffer),
		FUNCTION(run_cmd_from_buffer),
	};
	struct shared_library_reason reason;
	void *handle = shared_library_load(
		&library, functions, sizeof functions / sizeof *functions, nftables, &reason);

	if (!handle)
		snprintf(error->text, sizeof error->text, "%s", reason.text);
	return handle;
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

static int run_by(const struct libnftables *library, const char *commands, bool dry_run,
	struct nft_error *error)
{
	struct nft_ctx *nft = library->ctx_new(NFT_CTX_DEFAULT);
	int result = 0;

	if (!nft) {
		snprintf(error->text, sizeof error->text, "out of memory");
		return -ENOMEM;
	}
	library->ctx_set_dry_run(nft, dry_run);
	if (library->ctx_buffer_error(nft) != 0 || library->ctx_buffer_output(nft) != 0) {
		snprintf(error->text, sizeof error->text, "out of memory");
		result = -ENOMEM;
	} else if (library->run_cmd_from_buffer(nft, commands) != 0) {
		keep_first_line(library->ctx_get_error_buffer(nft), error);
		result = -EIO;
	}
	library->ctx_free(nft);
	return result;
}

static int run(const char *commands, bool dry_run, struct nft_error *error)
{
	struct libnftables library;
	void *handle;
	int result;

	if (!has_nftables(error))
		return -EIO;
	handle = load(&library, error);
	if (!handle)
		return -ELIBACC;
	result = run_by(&library, commands, dry_run, error);
	dlclose(handle);
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

int nft_try(const char *commands, struct nft_error *error)
{
	return run(commands, true, error);
}
