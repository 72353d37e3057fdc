/* How the server knows again what it, or an earlier one, added to the kernel's lists. */
#pragma once

enum {
	/* IFA_PROTO of addresses (since Linux 5.18), FRA_PROTOCOL of policy rules (since 4.17): a
	 * number nobody is known to use, 'v'. */
	SERVER_MARK = 118,
};
