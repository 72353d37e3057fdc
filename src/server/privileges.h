/* The rights of the server's own process. */
#pragma once

#include <stdbool.h>

struct server_config;

/* As many open files as it and its gates need, as far as it goes. */
void privileges_raise_files(const struct server_config *config);

/* Keeps what a server's work needs and nothing else, as harden_process() does. starts_devices: it
 * starts devices of the embedded plane itself. Returns 0 or -errno, logged. */
int privileges_give_up(bool starts_devices);
