/* Changes to nftables, in nft's own language (libnftables). */
#pragma once

enum {
	NFT_ERROR_SIZE = 256,
};

/* nft's reason: for people, one line. */
struct nft_error {
	char text[NFT_ERROR_SIZE];
};

/* Runs the commands as one transaction: all of them or none. Returns 0; -ENOMEM; or, with
 * the reason in *error, -EIO, as the kernel does not take them, or -ELIBACC, as libnftables cannot
 * be loaded. */
int nft_run(const char *commands, struct nft_error *error);

/* The same, but nothing is changed: whether the kernel would take the commands. */
int nft_try(const char *commands, struct nft_error *error);
