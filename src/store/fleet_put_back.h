/* An etcd that was put back to what it held before, while this process has seen more of it. */
#pragma once

struct fleet;

/* Where etcd's revision has gone back since the last call: what this host holds is to be claimed
 * anew, out of the copy; what it follows is kept until its holder has done so. Every few seconds;
 * in between it does nothing. Logs. */
void fleet_put_back_judge(struct fleet *fleet);
