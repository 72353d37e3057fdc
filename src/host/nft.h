/* Changes to nftables, in nft's own language (libnftables). */
#pragma once

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
