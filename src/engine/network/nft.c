/* SPDX-License-Identifier: Apache-2.0 */
#include "nft.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

#define UDATA_COMMENT 0 /* how nft(8) stores a table's comment */
#define UDATA_KEY_ORDER 0
#define IFNAME_SIZE 16

static void begin(struct nft *t, uint16_t type, uint16_t flags)
{
	struct nfgenmsg h = {.nfgen_family = t->family};

	netlink_begin(&t->b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, &h, sizeof(h));
}

static void mark(struct nft *t, uint16_t type)
{
	struct nfgenmsg h = {.res_id = htons(NFNL_SUBSYS_NFTABLES)};

	netlink_begin(&t->b, type, 0, &h, sizeof(h));
	netlink_end(&t->b);
}

void nft_begin(struct nft *t, uint8_t family, const char *table)
{
	*t = (struct nft){.family = family, .table = table};
	mark(t, NFNL_MSG_BATCH_BEGIN);
}

void nft_commit(struct nft *t)
{
	size_t last = t->b.last; /* the end of a batch is not acknowledged: the message before it is */

	mark(t, NFNL_MSG_BATCH_END);
	t->b.last = last;
}

void nft_table_add(struct nft *t, const char *comment)
{
	unsigned char udata[128] = {UDATA_COMMENT};
	size_t size = comment ? strlen(comment) + 1 : 0;

	begin(t, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	netlink_put_string(&t->b, NFTA_TABLE_NAME, t->table);
	if (comment && size < sizeof(udata) - 2) {
		udata[1] = (unsigned char)size;
		memcpy(udata + 2, comment, size);
		netlink_put(&t->b, NFTA_TABLE_USERDATA, udata, size + 2);
	}
	netlink_end(&t->b);
}

void nft_table_delete(struct nft *t)
{
	begin(t, NFT_MSG_DELTABLE, 0);
	netlink_put_string(&t->b, NFTA_TABLE_NAME, t->table);
	netlink_end(&t->b);
}

void nft_chain(struct nft *t, const char *name, const char *type, int hook, int priority)
{
	begin(t, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	netlink_put_string(&t->b, NFTA_CHAIN_TABLE, t->table);
	netlink_put_string(&t->b, NFTA_CHAIN_NAME, name);
	if (hook >= 0) {
		size_t nest = netlink_nest(&t->b, NFTA_CHAIN_HOOK);
		netlink_put_be32(&t->b, NFTA_HOOK_HOOKNUM, (uint32_t)hook);
		netlink_put_be32(&t->b, NFTA_HOOK_PRIORITY, (uint32_t)priority);
		netlink_nest_end(&t->b, nest);
		netlink_put_string(&t->b, NFTA_CHAIN_TYPE, type);
		netlink_put_be32(&t->b, NFTA_CHAIN_POLICY, NF_ACCEPT);
	}
	netlink_end(&t->b);
}

void nft_set(struct nft *t, const char *name, uint32_t key_type, uint32_t key_size, uint32_t data_type,
	     uint32_t data_size, uint32_t flags)
{
	static const unsigned char host_order[] = {UDATA_KEY_ORDER, 4, 1, 0, 0, 0};

	begin(t, NFT_MSG_NEWSET, NLM_F_CREATE);
	netlink_put_string(&t->b, NFTA_SET_TABLE, t->table);
	netlink_put_string(&t->b, NFTA_SET_NAME, name);
	netlink_put_be32(&t->b, NFTA_SET_FLAGS, flags | (data_size ? NFT_SET_MAP : 0));
	netlink_put_be32(&t->b, NFTA_SET_KEY_TYPE, key_type);
	netlink_put_be32(&t->b, NFTA_SET_KEY_LEN, key_size);
	if (data_size == NFT_VERDICTS) {
		netlink_put_be32(&t->b, NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT);
		netlink_put_be32(&t->b, NFTA_SET_DATA_LEN, 16);
	} else if (data_size) {
		netlink_put_be32(&t->b, NFTA_SET_DATA_TYPE, data_type);
		netlink_put_be32(&t->b, NFTA_SET_DATA_LEN, data_size);
	}
	netlink_put_be32(&t->b, NFTA_SET_ID, ++t->set_id);
	/* For nft(8): a name is no number whose bytes would be turned round. */
	if (key_size == IFNAME_SIZE)
		netlink_put(&t->b, NFTA_SET_USERDATA, host_order, sizeof(host_order));
	netlink_end(&t->b);
}

/* -- elements --- */

void nft_elements_begin(struct nft *t, const char *set, bool delete)
{
	begin(t, delete ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM, delete ? 0 : NLM_F_CREATE);
	netlink_put_string(&t->b, NFTA_SET_ELEM_LIST_TABLE, t->table);
	netlink_put_string(&t->b, NFTA_SET_ELEM_LIST_SET, set);
	t->expressions = netlink_nest(&t->b, NFTA_SET_ELEM_LIST_ELEMENTS);
}

static void put_data(struct nft *t, uint16_t type, const void *data, size_t size)
{
	size_t nest = netlink_nest(&t->b, type);

	netlink_put(&t->b, NFTA_DATA_VALUE, data, size);
	netlink_nest_end(&t->b, nest);
}

static void put_verdict(struct nft *t, uint16_t type, int code, const char *chain)
{
	size_t nest = netlink_nest(&t->b, type), verdict = netlink_nest(&t->b, NFTA_DATA_VERDICT);

	netlink_put_be32(&t->b, NFTA_VERDICT_CODE, (uint32_t)code);
	if (chain)
		netlink_put_string(&t->b, NFTA_VERDICT_CHAIN, chain);
	netlink_nest_end(&t->b, verdict);
	netlink_nest_end(&t->b, nest);
}

void nft_element(struct nft *t, const void *key, size_t key_size, const void *data, size_t data_size,
		 uint32_t flags)
{
	size_t nest = netlink_nest(&t->b, NFTA_LIST_ELEM);

	if (flags)
		netlink_put_be32(&t->b, NFTA_SET_ELEM_FLAGS, flags);
	put_data(t, NFTA_SET_ELEM_KEY, key, key_size);
	if (data)
		put_data(t, NFTA_SET_ELEM_DATA, data, data_size);
	netlink_nest_end(&t->b, nest);
}

void nft_element_verdict(struct nft *t, const void *key, size_t key_size, int verdict)
{
	size_t nest = netlink_nest(&t->b, NFTA_LIST_ELEM);

	put_data(t, NFTA_SET_ELEM_KEY, key, key_size);
	put_verdict(t, NFTA_SET_ELEM_DATA, verdict, NULL);
	netlink_nest_end(&t->b, nest);
}

void nft_elements_end(struct nft *t)
{
	netlink_nest_end(&t->b, t->expressions);
	netlink_end(&t->b);
}

/* -- rules --- */

void nft_rule_begin(struct nft *t, const char *chain)
{
	begin(t, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	netlink_put_string(&t->b, NFTA_RULE_TABLE, t->table);
	netlink_put_string(&t->b, NFTA_RULE_CHAIN, chain);
	t->expressions = netlink_nest(&t->b, NFTA_RULE_EXPRESSIONS);
	t->rules++;
}

void nft_rule_end(struct nft *t)
{
	netlink_nest_end(&t->b, t->expressions);
	netlink_end(&t->b);
}

static size_t expression(struct nft *t, const char *name)
{
	t->rule = netlink_nest(&t->b, NFTA_LIST_ELEM);
	netlink_put_string(&t->b, NFTA_EXPR_NAME, name);
	return netlink_nest(&t->b, NFTA_EXPR_DATA);
}

static void expression_end(struct nft *t, size_t nest)
{
	netlink_nest_end(&t->b, nest);
	netlink_nest_end(&t->b, t->rule);
}

static uint32_t reg32(unsigned reg)
{
	return NFT_REG32_00 + reg;
}

void nft_meta(struct nft *t, uint32_t key, unsigned reg)
{
	size_t x = expression(t, "meta");

	netlink_put_be32(&t->b, NFTA_META_KEY, key);
	netlink_put_be32(&t->b, NFTA_META_DREG, reg32(reg));
	expression_end(t, x);
}

void nft_payload(struct nft *t, uint32_t base, uint32_t offset, uint32_t len, unsigned reg)
{
	size_t x = expression(t, "payload");

	netlink_put_be32(&t->b, NFTA_PAYLOAD_DREG, reg32(reg));
	netlink_put_be32(&t->b, NFTA_PAYLOAD_BASE, base);
	netlink_put_be32(&t->b, NFTA_PAYLOAD_OFFSET, offset);
	netlink_put_be32(&t->b, NFTA_PAYLOAD_LEN, len);
	expression_end(t, x);
}

void nft_compare(struct nft *t, unsigned reg, uint32_t op, const void *data, size_t size)
{
	size_t x = expression(t, "cmp");

	netlink_put_be32(&t->b, NFTA_CMP_SREG, reg32(reg));
	netlink_put_be32(&t->b, NFTA_CMP_OP, op);
	put_data(t, NFTA_CMP_DATA, data, size);
	expression_end(t, x);
}

void nft_ct_bits(struct nft *t, uint32_t key, uint32_t bits)
{
	static const uint32_t zero;
	size_t x = expression(t, "ct");

	netlink_put_be32(&t->b, NFTA_CT_KEY, key);
	netlink_put_be32(&t->b, NFTA_CT_DREG, reg32(0));
	expression_end(t, x);
	x = expression(t, "bitwise");
	netlink_put_be32(&t->b, NFTA_BITWISE_SREG, reg32(0));
	netlink_put_be32(&t->b, NFTA_BITWISE_DREG, reg32(0));
	netlink_put_be32(&t->b, NFTA_BITWISE_LEN, sizeof(bits));
	put_data(t, NFTA_BITWISE_MASK, &bits, sizeof(bits));
	put_data(t, NFTA_BITWISE_XOR, &zero, sizeof(zero));
	expression_end(t, x);
	nft_compare(t, 0, NFT_CMP_NEQ, &zero, sizeof(zero));
}

static size_t lookup(struct nft *t, const char *set, unsigned reg)
{
	size_t x = expression(t, "lookup");

	netlink_put_string(&t->b, NFTA_LOOKUP_SET, set);
	netlink_put_be32(&t->b, NFTA_LOOKUP_SREG, reg32(reg));
	return x;
}

void nft_lookup(struct nft *t, const char *set, unsigned reg, bool inverted)
{
	size_t x = lookup(t, set, reg);

	if (inverted)
		netlink_put_be32(&t->b, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	expression_end(t, x);
}

void nft_map(struct nft *t, const char *set, unsigned reg, unsigned to)
{
	size_t x = lookup(t, set, reg);

	netlink_put_be32(&t->b, NFTA_LOOKUP_DREG, reg32(to));
	expression_end(t, x);
}

void nft_vmap(struct nft *t, const char *set, unsigned reg)
{
	size_t x = lookup(t, set, reg);

	netlink_put_be32(&t->b, NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
	expression_end(t, x);
}

void nft_fib_local(struct nft *t)
{
	uint32_t local = 2; /* RTN_LOCAL */
	size_t x = expression(t, "fib");

	netlink_put_be32(&t->b, NFTA_FIB_DREG, reg32(0));
	netlink_put_be32(&t->b, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	netlink_put_be32(&t->b, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
	expression_end(t, x);
	nft_compare(t, 0, NFT_CMP_EQ, &local, sizeof(local));
}

void nft_verdict(struct nft *t, int code, const char *chain)
{
	size_t x = expression(t, "immediate");

	netlink_put_be32(&t->b, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	put_verdict(t, NFTA_IMMEDIATE_DATA, code, chain);
	expression_end(t, x);
	if (chain)
		t->rules++;
}

void nft_immediate(struct nft *t, unsigned reg, const void *data, size_t size)
{
	size_t x = expression(t, "immediate");

	netlink_put_be32(&t->b, NFTA_IMMEDIATE_DREG, reg32(reg));
	put_data(t, NFTA_IMMEDIATE_DATA, data, size);
	expression_end(t, x);
}

void nft_masquerade(struct nft *t)
{
	expression_end(t, expression(t, "masq"));
}

void nft_dnat(struct nft *t, uint32_t family, unsigned address, unsigned port)
{
	size_t x = expression(t, "nat");

	netlink_put_be32(&t->b, NFTA_NAT_TYPE, NFT_NAT_DNAT);
	netlink_put_be32(&t->b, NFTA_NAT_FAMILY, family);
	netlink_put_be32(&t->b, NFTA_NAT_REG_ADDR_MIN, reg32(address));
	netlink_put_be32(&t->b, NFTA_NAT_REG_PROTO_MIN, reg32(port));
	expression_end(t, x);
}

void nft_ifname(const char *name, char ret[static 16])
{
	memset(ret, 0, 16);
	snprintf(ret, 16, "%s", name);
}
