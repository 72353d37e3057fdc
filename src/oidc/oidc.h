/* The process that fetches one issuer's keys, over and over. */
#pragma once

/* Its whole life; it is started by the server (ipc/issuer_fetch.h). Returns the exit status. */
int oidc_main(void);
