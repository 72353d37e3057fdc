/*
 * An endpoint whose address the host has no more rests: its device and its peers' tunnels are gone
 * from this host, which may not be the one to have them now, and everybody's address stays
 * promised. When the address is back it is woken, and its clients find all as it was.
 */
#pragma once

struct endpoint;

/* Of an open endpoint. Who still waits for an answer is told that it is not served. Logs. */
void endpoint_rest(struct endpoint *endpoint);

/* Makes its device, and gives it all its peers. Logs. Returns 0 or -errno, and then it rests on. */
int endpoint_wake(struct endpoint *endpoint);
