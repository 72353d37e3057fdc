/* One server a host. */
#pragma once

#include "base/lock.h"

#define LOCK_PATH RUN_FOLDER "/lock"
