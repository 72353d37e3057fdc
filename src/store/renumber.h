/* Endpoints that are given up, since what they have is another's in their fleet. */
#pragma once

#include "ipc/storing.h"

struct database;

typedef int renumber_tell_fn(const struct storing_message *message);
/* The task STORE_RENUMBERS, whose messages come from STORE_FD_BROKER, and go by tell. Returns 0
 * when the other end has hung up, or -errno; of -EIO why is in database_error(). */
int renumber_serve(struct database *database, renumber_tell_fn *tell);
