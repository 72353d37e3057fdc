/* How a client ended. */
#pragma once

enum client_end {
	CLIENT_DONE, /* by a signal or, with --once, as the tunnel was up */
	CLIENT_FAILED, /* this machine was in the way */
	CLIENT_REFUSED, /* the server refuses, or is not the one that it should be */
	CLIENT_UNREACHABLE, /* nobody has answered in time */
	CLIENT_NO_HANDSHAKE, /* there was a grant, but nothing has come through the tunnel in time
			      */
};
