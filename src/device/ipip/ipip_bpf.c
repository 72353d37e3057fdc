/*
 * The fast path's two programs, written instruction by instruction. They are loaded by the
 * privileged helper and run in the kernel.
 */
#include "device/ipip/ipip_bpf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdbool.h>

#include "device/io/ecn.h"
#include "device/io/headers.h"
#include "device/io/packet.h"
#include "device/ipip/bpf.h"

enum {
	CODE_MAX = 160,
	JUMPS_MAX = 32,

	NEXT = -1, /* TCX_NEXT: the packet goes on as if there were no program */
	DROP = 2, /* TCX_DROP */

	/* helpers and flags that Debian 12's headers may lack */
	HELPER_REDIRECT_NEIGH = 152,
	DECAP_L3_IPV4 = 1 << 7, /* BPF_F_ADJ_ROOM_DECAP_L3_IPV4, Linux 6.4 */

	FRAGMENT_MASK = 0x3fff, /* of IPV4_FRAGMENT: more fragments, and the offset */
	OUTER_TTL = 64,

	/* the stack, below the frame pointer */
	KEY = -8,
	OUTER = -32,
	INNER = -56,
};

enum reg {
	R0,
	R1,
	R2,
	R3,
	R4,
	R5,
	CTX, /* kept through calls */
	ENTRY,
	LENGTH,
	R9,
	FP,
};

/* Code as it is written, and the jumps that leave it early: "not ours". */
struct code {
	struct bpf_insn insns[CODE_MAX];
	size_t n;
	size_t leave[JUMPS_MAX];
	size_t n_leave;
};

static void emit(struct code *c, uint8_t code, enum reg dst, enum reg src, int off, int32_t imm)
{
	c->insns[c->n++] = (struct bpf_insn){.code = code,
		.dst_reg = dst & 15,
		.src_reg = src & 15,
		.off = (int16_t)off,
		.imm = imm};
}

static void set_reg(struct code *c, enum reg dst, enum reg src)
{
	emit(c, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void set(struct code *c, enum reg dst, int32_t value)
{
	emit(c, BPF_ALU64 | BPF_MOV | BPF_K, dst, R0, 0, value);
}

static void math(struct code *c, uint8_t operation, enum reg dst, int32_t value)
{
	emit(c, BPF_ALU64 | operation | BPF_K, dst, R0, 0, value);
}

static void math_reg(struct code *c, uint8_t operation, enum reg dst, enum reg src)
{
	emit(c, BPF_ALU64 | operation | BPF_X, dst, src, 0, 0);
}

/* size: BPF_B, BPF_H, BPF_W or BPF_DW */
static void load(struct code *c, uint8_t size, enum reg dst, enum reg base, int offset)
{
	emit(c, (uint8_t)(BPF_LDX | BPF_MEM | size), dst, base, offset, 0);
}

static void store(struct code *c, uint8_t size, enum reg base, int offset, enum reg src)
{
	emit(c, (uint8_t)(BPF_STX | BPF_MEM | size), base, src, offset, 0);
}

static void store_value(struct code *c, uint8_t size, enum reg base, int offset, int32_t value)
{
	emit(c, (uint8_t)(BPF_ST | BPF_MEM | size), base, R0, offset, value);
}

static void stack_address(struct code *c, enum reg dst, int offset)
{
	set_reg(c, dst, FP);
	math(c, BPF_ADD, dst, offset);
}

static void call(struct code *c, int helper)
{
	emit(c, BPF_JMP | BPF_CALL, R0, R0, 0, helper);
}

static void load_map(struct code *c, enum reg dst, int map)
{
	emit(c, BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, map);
	emit(c, 0, R0, R0, 0, 0);
}

static void to_big_endian16(struct code *c, enum reg reg)
{
	emit(c, BPF_ALU | BPF_END | BPF_TO_BE, reg, R0, 0, 16);
}

/* Unsigned comparison of the low 32 bits: true leaves. */
static void leave_if(struct code *c, uint8_t comparison, enum reg reg, uint32_t value)
{
	c->leave[c->n_leave++] = c->n;
	emit(c, BPF_JMP32 | comparison | BPF_K, reg, R0, 0, (int32_t)value);
}

static void leave_if_reg(struct code *c, uint8_t comparison, enum reg reg, enum reg other)
{
	c->leave[c->n_leave++] = c->n;
	emit(c, BPF_JMP32 | comparison | BPF_X, reg, other, 0, 0);
}

static void leave_if_null(struct code *c, enum reg reg)
{
	c->leave[c->n_leave++] = c->n;
	emit(c, BPF_JMP | BPF_JEQ | BPF_K, reg, R0, 0, 0);
}

/* A jump over what follows, to be landed; returns its place. */
static size_t skip_if(struct code *c, uint8_t comparison, enum reg reg, uint32_t value)
{
	emit(c, BPF_JMP32 | comparison | BPF_K, reg, R0, 0, (int32_t)value);
	return c->n - 1;
}

static size_t skip(struct code *c)
{
	emit(c, BPF_JMP | BPF_JA, R0, R0, 0, 0);
	return c->n - 1;
}

static void land(struct code *c, size_t jump)
{
	c->insns[jump].off = (int16_t)(c->n - jump - 1);
}

static void finish(struct code *c)
{
	emit(c, BPF_JMP | BPF_EXIT, R0, R0, 0, 0);
	for (size_t i = 0; i < c->n_leave; i++)
		land(c, c->leave[i]);
	set(c, R0, NEXT);
	emit(c, BPF_JMP | BPF_EXIT, R0, R0, 0, 0);
}

/* Copies bytes of the packet, counted from its network header, onto the stack. */
static void load_bytes(struct code *c, int offset, int to, int length)
{
	set_reg(c, R1, CTX);
	set(c, R2, offset);
	stack_address(c, R3, to);
	set(c, R4, length);
	set(c, R5, BPF_HDR_START_NET);
	call(c, BPF_FUNC_skb_load_bytes_relative);
	leave_if(c, BPF_JNE, R0, 0);
}

static void begin(struct code *c)
{
	set_reg(c, CTX, R1);
	load(c, BPF_W, R1, CTX, offsetof(struct __sk_buff, protocol));
	leave_if(c, BPF_JNE, R1, htons(ETH_P_IP));
}

static void find_entry(struct code *c, int map, int key_offset)
{
	load(c, BPF_W, R1, FP, key_offset);
	store(c, BPF_W, FP, KEY, R1);
	load_map(c, R1, map);
	stack_address(c, R2, KEY);
	call(c, BPF_FUNC_map_lookup_elem);
	leave_if_null(c, R0);
	set_reg(c, ENTRY, R0);
}

/* Adds the register LENGTH to a counter of the entry, and records the time. */
static void count_bytes(struct code *c, int bytes_offset, int active_offset)
{
	emit(c, BPF_STX | BPF_ATOMIC | BPF_DW, ENTRY, LENGTH, bytes_offset, BPF_ADD);
	call(c, BPF_FUNC_ktime_get_boot_ns);
	store(c, BPF_DW, ENTRY, active_offset, R0);
}

/* Leaves if the longest packet that this one becomes does not fit the path. */
static void check_mtu(struct code *c)
{
	size_t whole, udp, done;

	load(c, BPF_W, R9, CTX, offsetof(struct __sk_buff, gso_size));
	whole = skip_if(c, BPF_JEQ, R9, 0);
	/* a segment: its payload, and both headers */
	load(c, BPF_B, R1, FP, INNER);
	leave_if(c, BPF_JNE, R1, IPV4_PLAIN);
	load(c, BPF_B, R1, FP, INNER + IPV4_PROTOCOL);
	math(c, BPF_ADD, R9, 2 * PACKET_IPV4_HEADER);
	udp = skip_if(c, BPF_JEQ, R1, PACKET_UDP);
	leave_if(c, BPF_JNE, R1, PACKET_TCP);
	load_bytes(c, PACKET_IPV4_HEADER + TCP_DATA_OFFSET, KEY, 1);
	load(c, BPF_B, R1, FP, KEY);
	math(c, BPF_RSH, R1, 4);
	math(c, BPF_LSH, R1, 2);
	math_reg(c, BPF_ADD, R9, R1);
	done = skip(c);
	land(c, udp);
	math(c, BPF_ADD, R9, PACKET_UDP_HEADER);
	{
		size_t done_udp = skip(c);

		land(c, whole);
		set_reg(c, R9, LENGTH);
		math(c, BPF_ADD, R9, PACKET_IPV4_HEADER);
		land(c, done);
		land(c, done_udp);
	}
	load(c, BPF_W, R1, ENTRY, offsetof(struct ipip_tx_entry, mtu));
	leave_if_reg(c, BPF_JGT, R9, R1);
}

/* RFC 2003, 3.1, and for the ECN bits RFC 6040, 4.1. */
static void write_outer_header(struct code *c, struct in_addr local)
{
	store_value(c, BPF_B, FP, OUTER, IPV4_PLAIN);
	load(c, BPF_B, R1, FP, INNER + IPV4_TOS);
	store(c, BPF_B, FP, OUTER + IPV4_TOS, R1);
	set_reg(c, R1, LENGTH);
	math(c, BPF_ADD, R1, PACKET_IPV4_HEADER);
	to_big_endian16(c, R1);
	store(c, BPF_H, FP, OUTER + IPV4_TOTAL_LENGTH, R1);
	call(c, BPF_FUNC_get_prandom_u32);
	store(c, BPF_H, FP, OUTER + IPV4_ID, R0);
	load(c, BPF_H, R1, FP, INNER + IPV4_FRAGMENT);
	math(c, BPF_AND, R1, htons(IPV4_DF));
	store(c, BPF_H, FP, OUTER + IPV4_FRAGMENT, R1);
	store_value(c, BPF_B, FP, OUTER + IPV4_TTL, OUTER_TTL);
	store_value(c, BPF_B, FP, OUTER + IPV4_PROTOCOL, IPPROTO_IPIP);
	store_value(c, BPF_H, FP, OUTER + IPV4_CHECKSUM, 0);
	store_value(c, BPF_W, FP, OUTER + IPV4_SOURCE, (int32_t)local.s_addr);
	load(c, BPF_W, R1, ENTRY, offsetof(struct ipip_tx_entry, remote));
	store(c, BPF_W, FP, OUTER + IPV4_DESTINATION, R1);

	set(c, R1, 0);
	set(c, R2, 0);
	stack_address(c, R3, OUTER);
	set(c, R4, PACKET_IPV4_HEADER);
	set(c, R5, 0);
	call(c, BPF_FUNC_csum_diff);
	for (int i = 0; i < 2; i++) { /* fold */
		set_reg(c, R1, R0);
		math(c, BPF_RSH, R1, 16);
		math(c, BPF_AND, R0, 0xffff);
		math_reg(c, BPF_ADD, R0, R1);
	}
	math(c, BPF_XOR, R0, 0xffff);
	store(c, BPF_H, FP, OUTER + IPV4_CHECKSUM, R0);
}

static void adjust_room(struct code *c, int by, int flags)
{
	set_reg(c, R1, CTX);
	set(c, R2, by);
	set(c, R3, BPF_ADJ_ROOM_MAC);
	set(c, R4, flags);
	call(c, BPF_FUNC_skb_adjust_room);
	leave_if(c, BPF_JNE, R0, 0);
}

int ipip_load_tx(int map, struct in_addr local)
{
	struct code code = {0}, *c = &code;
	size_t good;

	begin(c);
	load_bytes(c, 0, INNER, PACKET_IPV4_HEADER);
	find_entry(c, map, INNER + IPV4_DESTINATION);
	load(c, BPF_W, LENGTH, CTX, offsetof(struct __sk_buff, len));
	check_mtu(c);
	/* the outer length is a field of 16 bits */
	leave_if(c, BPF_JGT, LENGTH, PACKET_MAX - PACKET_IPV4_HEADER);
	write_outer_header(c, local);
	adjust_room(c, PACKET_IPV4_HEADER, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_FIXED_GSO);

	set_reg(c, R1, CTX);
	set(c, R2, 0);
	stack_address(c, R3, OUTER);
	set(c, R4, PACKET_IPV4_HEADER);
	set(c, R5, 0);
	call(c, BPF_FUNC_skb_store_bytes);
	/* a place for the Ethernet header, as redirect_neigh expects it; from here on the packet is
	 * none that could go on by itself */
	set_reg(c, R1, CTX);
	set(c, R2, ETH_HLEN);
	set(c, R3, 0);
	call(c, BPF_FUNC_skb_change_head);
	good = skip_if(c, BPF_JEQ, R0, 0);
	set(c, R0, DROP);
	emit(c, BPF_JMP | BPF_EXIT, R0, R0, 0, 0);
	land(c, good);
	count_bytes(c, offsetof(struct ipip_tx_entry, bytes),
		offsetof(struct ipip_tx_entry, active_ns));

	/* It looks up the route by itself. Given a next hop it would not, but then the packet keeps
	 * the route to the TUN, and is lost when it has to wait for the neighbour's address. */
	load(c, BPF_W, R1, ENTRY, offsetof(struct ipip_tx_entry, interface));
	set(c, R2, 0);
	set(c, R3, 0);
	set(c, R4, 0);
	call(c, HELPER_REDIRECT_NEIGH);
	finish(c);
	return bpf_load("vprox_ipip_out", c->insns, c->n);
}

/* What the path did to the outer ECN field has to be carried over to the inner one, for which there
 * is the raw-socket path: a mark of congestion, or ECT(1) where ECT(0) was. */
static void leave_if_marked(struct code *c)
{
	size_t other;

	load(c, BPF_B, R1, FP, OUTER + IPV4_TOS);
	math(c, BPF_AND, R1, ECN_MASK);
	leave_if(c, BPF_JEQ, R1, ECN_CE);
	other = skip_if(c, BPF_JNE, R1, ECN_ECT1);
	load(c, BPF_B, R1, FP, INNER + IPV4_TOS);
	math(c, BPF_AND, R1, ECN_MASK);
	leave_if(c, BPF_JEQ, R1, ECN_ECT0);
	land(c, other);
}

/* What is for an interface on top of this one, such as a VLAN or a macvlan, is not ours here: its
 * tag would go along, and the TUN has no such VLAN. The program is at that interface too. */
static void leave_if_for_another(struct code *c)
{
	load(c, BPF_W, R1, CTX, offsetof(struct __sk_buff, vlan_present));
	leave_if(c, BPF_JNE, R1, 0);
	load(c, BPF_W, R1, CTX, offsetof(struct __sk_buff, pkt_type));
	leave_if(c, BPF_JNE, R1, PACKET_HOST);
}

int ipip_load_rx(int map, struct in_addr local, unsigned int tun)
{
	struct code code = {0}, *c = &code;

	begin(c);
	leave_if_for_another(c);
	load_bytes(c, 0, OUTER, PACKET_IPV4_HEADER);
	load(c, BPF_B, R1, FP, OUTER + IPV4_PROTOCOL);
	leave_if(c, BPF_JNE, R1, IPPROTO_IPIP);
	load(c, BPF_W, R1, FP, OUTER + IPV4_DESTINATION);
	leave_if(c, BPF_JNE, R1, local.s_addr);
	load(c, BPF_B, R1, FP, OUTER);
	leave_if(c, BPF_JNE, R1, IPV4_PLAIN);
	load(c, BPF_H, R1, FP, OUTER + IPV4_FRAGMENT);
	leave_if(c, BPF_JSET, R1, htons(FRAGMENT_MASK));
	load_bytes(c, PACKET_IPV4_HEADER, INNER, PACKET_IPV4_HEADER);
	load(c, BPF_B, R1, FP, INNER);
	math(c, BPF_RSH, R1, 4);
	leave_if(c, BPF_JNE, R1, 4);
	leave_if_marked(c);
	find_entry(c, map, OUTER + IPV4_SOURCE);
	load(c, BPF_W, R1, FP, INNER + IPV4_SOURCE);
	load(c, BPF_W, R2, ENTRY, offsetof(struct ipip_rx_entry, inner));
	leave_if_reg(c, BPF_JNE, R1, R2);

	load(c, BPF_W, LENGTH, CTX, offsetof(struct __sk_buff, len));
	math(c, BPF_SUB, LENGTH, ETH_HLEN + PACKET_IPV4_HEADER);
	adjust_room(c, -PACKET_IPV4_HEADER, BPF_F_ADJ_ROOM_FIXED_GSO | DECAP_L3_IPV4);
	count_bytes(c, offsetof(struct ipip_rx_entry, bytes),
		offsetof(struct ipip_rx_entry, active_ns));
	set(c, R1, (int32_t)tun);
	set(c, R2, BPF_F_INGRESS);
	call(c, BPF_FUNC_redirect);
	finish(c);
	return bpf_load("vprox_ipip_in", c->insns, c->n);
}
