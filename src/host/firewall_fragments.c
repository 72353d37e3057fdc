/*
 * Writes the part of the table "ip vprox" that limits what of the memory for fragments one client
 * takes. Changes nothing on the host. Runs in the broker.
 */
#include "host/firewall_fragments.h"

#include "host/firewall_flows.h"
#include "host/host_config.h"
#include "plane/names.h"

/*
 * Of one client, each second. A fragment takes up to 1.5 KB more than its length: for the time that
 * src/host/fragments.h sets, and a burst, that is less than half of the memory that it sets.
 */
#define MOST_FRAGMENTS "4000"
#define MOST_MEGABYTES "6"

/* The kernel puts fragments together at priority -400, before the sources are checked: else a
 * client could spend what others may. NF_IP_PRI_RAW_BEFORE_DEFRAG of linux/netfilter_ipv4.h is
 * -450. */
void firewall_write_fragments(FILE *out, const struct host_config *config)
{
	firewall_write_set_of_peers(out, config, "fragment_rates", "ipv4_addr", "10s");
	firewall_write_set_of_peers(out, config, "fragment_bytes", "ipv4_addr", "10s");
	fputs("\tchain fragment {\n", out);
	if (config->shares_ipip)
		fprintf(out, "\t\tiifname \"%s\" meta mark != 0x%08x drop\n",
			PLANE_SHARED_IPIP_NAME, PLANE_SHARED_IPIP_MARK);
	fputs("\t\tip saddr != @blocks drop\n"
	      "\t\tfib saddr . iif oif missing drop\n"
	      "\t\tupdate @fragment_rates { ip saddr limit rate over " MOST_FRAGMENTS
	      "/second burst " MOST_FRAGMENTS " packets } counter name refused_rate drop\n"
	      "\t\tupdate @fragment_bytes { ip saddr limit rate over " MOST_MEGABYTES
	      " mbytes/second burst " MOST_MEGABYTES " mbytes } counter name refused_rate drop\n"
	      "\t}\n"
	      "\tchain before_reassembly {\n"
	      "\t\ttype filter hook prerouting priority -450; policy accept;\n"
	      "\t\tip frag-off & 0x3fff == 0 accept\n"
	      "\t\tiifname @tunnels goto fragment\n"
	      "\t}\n",
		out);
}
