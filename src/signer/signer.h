/* The process that holds the TLS private key, and signs with it for the gates. */
#pragma once

/* Takes over the descriptors that ipc/signing.h names. Returns the exit status. */
int signer_main(void);
