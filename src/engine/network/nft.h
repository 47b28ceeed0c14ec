/* SPDX-License-Identifier: Apache-2.0 */
/* nf_tables over nfnetlink (linux/netfilter/nf_tables.h): messages of one batch, which the kernel takes as a whole or not at all. Expressions
 * are named as nft(8) names them. Registers: 32-bit ones, numbered from 0. */
#ifndef ENGINE_NETWORK_NFT_H
#define ENGINE_NETWORK_NFT_H

/* The kernel's headers keep quiet about what libc defined before them. */
#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "base/netlink.h"

struct nft {
	struct netlink_batch b;
	const char *table;
	uint8_t family; /* NFPROTO_* of the table */
	uint32_t rules; /* rules and jumps so far: what the chains' use counts add up to */
	uint32_t set_id;
	size_t expressions, rule; /* nests being built */
};
void nft_begin(struct nft *t, uint8_t family, const char *table);
/* Ends the batch; then it may be sent with netlink_talk. */
void nft_commit(struct nft *t);

void nft_table_add(struct nft *t, const char *comment);
void nft_table_delete(struct nft *t);
/* hook < 0: a chain to jump to. type: "filter", "nat". */
void nft_chain(struct nft *t, const char *name, const char *type, int hook, int priority);
/* Sets and maps. data_size 0: a set; NFT_VERDICTS: a map to verdicts. */
#define NFT_VERDICTS UINT32_MAX
void nft_set(struct nft *t, const char *name, uint32_t key_type, uint32_t key_size, uint32_t data_type,
	     uint32_t data_size, uint32_t flags);

/* One message with elements, added or deleted: begin, each element, end. At most NFT_ELEMENTS_MAX a message. */
#define NFT_ELEMENTS_MAX 500u
void nft_elements_begin(struct nft *t, const char *set, bool delete);
void nft_element(struct nft *t, const void *key, size_t key_size, const void *data, size_t data_size,
		 uint32_t flags);
void nft_element_verdict(struct nft *t, const void *key, size_t key_size, int verdict);
void nft_elements_end(struct nft *t);

void nft_rule_begin(struct nft *t, const char *chain);
void nft_rule_end(struct nft *t);
void nft_meta(struct nft *t, uint32_t key, unsigned reg);
void nft_payload(struct nft *t, uint32_t base, uint32_t offset, uint32_t len, unsigned reg);
void nft_compare(struct nft *t, unsigned reg, uint32_t op, const void *data, size_t size);
void nft_ct_bits(struct nft *t, uint32_t key, uint32_t bits); /* goes on when one of them is set */
void nft_lookup(struct nft *t, const char *set, unsigned reg, bool inverted);
void nft_map(struct nft *t, const char *set, unsigned reg, unsigned to);
void nft_vmap(struct nft *t, const char *set, unsigned reg);
void nft_fib_local(struct nft *t); /* goes on when the destination is an address of this machine */
void nft_verdict(struct nft *t, int code, const char *chain);
void nft_masquerade(struct nft *t);
void nft_dnat(struct nft *t, uint32_t family, unsigned address, unsigned port);
void nft_immediate(struct nft *t, unsigned reg, const void *data, size_t size);
void nft_ifname(const char *name, char ret[static 16]);

#endif
