/* An etcd that was put back to what it held before, while this process has seen more of it. */
#pragma once

struct fleet;
struct served;

/* Where etcd's revision has gone back since the last call, or what this host wrote last is gone:
 * what this host holds is to be claimed anew, out of the copy; what it follows is kept until its
 * holder has done so, or writes on. Every few seconds; in between it does nothing. Logs. */
void fleet_put_back_judge(struct fleet *fleet);
/* Looks whether what this host wrote last of an address that it holds is there. Returns 1 if it is
 * not: then the address is claimed anew; 0, or as kv_commit(). */
int fleet_put_back_find(struct fleet *fleet, struct served *served);
