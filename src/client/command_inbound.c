/* The packet filter in the namespace of `vprox exec`. Runs in the client, while it is in there. */
#include "client/command_inbound.h"

#include <errno.h>

#include "base/log.h"
#include "nftables/nft.h"

/* The tunnel is the only other interface there will be. The command has no right to change it. */
static const char table[] = "table inet vprox-inbound {\n"
			    "\tchain input {\n"
			    "\t\ttype filter hook input priority filter; policy drop;\n"
			    "\t\tiifname \"lo\" accept\n"
			    "\t\tct state established,related accept\n"
			    "\t\ticmp type echo-request accept\n"
			    "\t}\n"
			    "}\n";

int command_inbound_limit(void)
{
	struct nft_error reason;
	int error = nft_run(table, &reason);

	if (error == -ELIBACC)
		log_error("cannot limit what comes out of the tunnel: %s", reason.text);
	if (error != -EIO)
		return error;
	log_warning("this kernel cannot tell what comes out of the tunnel (nftables: %s): the "
		    "server, and over IPIP whoever forges its address, reaches what the command "
		    "listens on",
		reason.text);
	return 0;
}
