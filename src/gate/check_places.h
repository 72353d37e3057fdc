/*
 * How many wrong passwords one source can try in a second: each of its requests needs a place for
 * the check, which a right one gives back at once, and a wrong one when the pause before its answer
 * is over. Who finds no place waits for one, and is not refused: behind one address there may be
 * others, who know the password.
 */
#pragma once

#include <stdbool.h>

#include "gate/connection_set.h"

/* Takes one of max places of the connection's source, if it has none yet. False if there is none:
 * it is queued for the next that is free, and must not be checked before. */
bool check_places_take(struct connection *connection, unsigned int max);

/* Gives back the connection's place, or has it wait for none any more, if it has or does. Returns
 * the connection that has the place now, and can be checked; NULL if there is none. */
struct connection *check_places_give_back(struct connection *connection);
