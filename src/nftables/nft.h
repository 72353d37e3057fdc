/* Changes to nftables, in nft's own language (libnftables). */
#pragma once

#include <stdbool.h>

enum {
	NFT_ERROR_SIZE = 256,
};

/* nft's reason: for people, one line. */
struct nft_error {
	char text[NFT_ERROR_SIZE];
};

/* Runs the commands as one transaction: all of them or none. Returns 0, -ENOMEM, or -EIO with the
 * reason in *error. */
int nft_run(const char *commands, struct nft_error *error);

/* Whether the kernel would take the commands; nothing is changed. */
bool nft_would_run(const char *commands);
