/*
 * Runs commands in nft's language in this process, by libnftables, which is loaded for that time
 * alone. It blocks until the kernel has answered.
 */
#include "nftables/nft.h"

#include <dlfcn.h>
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

/*
 * What is used of the library. This program is many processes, most of which never call it, and in
 * each of them it and those that it needs would be some 0.2 MB; of the broker, which calls it at
 * times, more than a megabyte. The soname is that of the header's version.
 */
static const char soname[] = "libnftables.so.1";

struct libnftables {
	void *handle;
	typeof(nft_ctx_new) *ctx_new;
	typeof(nft_ctx_free) *ctx_free;
	typeof(nft_ctx_set_dry_run) *ctx_set_dry_run;
	typeof(nft_ctx_buffer_output) *ctx_buffer_output;
	typeof(nft_ctx_buffer_error) *ctx_buffer_error;
	typeof(nft_ctx_get_error_buffer) *ctx_get_error_buffer;
	typeof(nft_run_cmd_from_buffer) *run_cmd_from_buffer;
};

/* Returns 0; or -ENOENT, and nothing is to be unloaded. */
static int load(struct libnftables *library, struct nft_error *error)
{
	void *handle = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		snprintf(error->text, sizeof error->text, "%s", dlerror());
		return -ENOENT;
	}
	*library = (struct libnftables){
		.handle = handle,
		.ctx_new = dlsym(handle, "nft_ctx_new"),
		.ctx_free = dlsym(handle, "nft_ctx_free"),
		.ctx_set_dry_run = dlsym(handle, "nft_ctx_set_dry_run"),
		.ctx_buffer_output = dlsym(handle, "nft_ctx_buffer_output"),
		.ctx_buffer_error = dlsym(handle, "nft_ctx_buffer_error"),
		.ctx_get_error_buffer = dlsym(handle, "nft_ctx_get_error_buffer"),
		.run_cmd_from_buffer = dlsym(handle, "nft_run_cmd_from_buffer"),
	};
	if (library->ctx_new && library->ctx_free && library->ctx_set_dry_run &&
		library->ctx_buffer_output && library->ctx_buffer_error &&
		library->ctx_get_error_buffer && library->run_cmd_from_buffer)
		return 0;
	snprintf(error->text, sizeof error->text, "%s lacks a function", soname);
	dlclose(handle);
	return -ENOENT;
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
	int result;

	if (!has_nftables(error) || load(&library, error) < 0)
		return -EIO;
	result = run_by(&library, commands, dry_run, error);
	dlclose(library.handle);
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
