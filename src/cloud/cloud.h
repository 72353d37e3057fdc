/* A process without rights that asks a cloud's services for the broker. */
#pragma once

/* Takes over the descriptor that ipc/cloud.h names. Returns the exit status. */
int cloud_main(void);
