/* SPDX-License-Identifier: Apache-2.0 */
/* EROFS on disk, as far as erofs_write.c writes it. All numbers are little-endian. */
#ifndef IMAGES_EROFS_FORMAT_H
#define IMAGES_EROFS_FORMAT_H

#include <assert.h>
#include <stdint.h>

#define EROFS_BLOCK_BITS 9
#define EROFS_BLOCK 512u
#define EROFS_SUPER_OFFSET 1024u
#define EROFS_MAGIC 0xe0f5e1e2u
#define EROFS_SLOT 32u /* a nid counts these, from the metadata's first block on */

#define EROFS_COMPAT_SB_CHKSUM 1u
#define EROFS_COMPAT_MTIME 2u
#define EROFS_INCOMPAT_CHUNKED_FILE 4u
#define EROFS_INCOMPAT_DEVICE_TABLE 8u

struct erofs_super {
	uint32_t magic, checksum, compat;
	uint8_t block_bits, extension_slots;
	uint16_t root_nid;
	uint64_t inodes, build_time;
	uint32_t build_time_ns, blocks, meta_block, xattr_block;
	uint8_t uuid[16], volume_name[16];
	uint32_t incompat;
	uint16_t compression, extra_devices, device_slot_offset; /* in slots from the device's beginning */
	uint8_t directory_block_bits, xattr_prefixes;
	uint32_t xattr_prefix_start;
	uint8_t packed_nid[8];
	uint8_t reserved[24];
} __attribute__((packed));
static_assert(sizeof(struct erofs_super) == 128, "EROFS super block");

struct erofs_device_slot {
	uint8_t tag[64];
	uint32_t blocks, uniaddr;
	uint8_t reserved[56];
};
static_assert(sizeof(struct erofs_device_slot) == 128, "EROFS device slot");

enum erofs_layout { EROFS_FLAT_PLAIN = 0, EROFS_FLAT_INLINE = 2, EROFS_CHUNKS = 4 };
#define EROFS_INODE_EXTENDED 1u
#define EROFS_CHUNK_INDEXES 0x20u

struct erofs_inode {
	uint16_t format, xattr_icount, mode, reserved;
	uint64_t size;
	uint32_t u; /* first block, device number, or chunk format */
	uint32_t ino, uid, gid;
	uint64_t mtime;
	uint32_t mtime_ns, nlink;
	uint8_t reserved2[16];
};
static_assert(sizeof(struct erofs_inode) == 64, "EROFS extended inode");

struct erofs_chunk {
	uint16_t block_high, device;
	uint32_t block;
};
static_assert(sizeof(struct erofs_chunk) == 8, "EROFS chunk index");
#define EROFS_HOLE 0xffffffffu

struct erofs_dirent {
	uint64_t nid;
	uint16_t name_offset;
	uint8_t type, reserved;
} __attribute__((packed));
static_assert(sizeof(struct erofs_dirent) == 12, "EROFS directory entry");

struct erofs_xattr_header {
	uint32_t name_filter;
	uint8_t shared, reserved[7];
};
static_assert(sizeof(struct erofs_xattr_header) == 12, "EROFS xattr header");

struct erofs_xattr_entry {
	uint8_t name_len, name_index;
	uint16_t value_size;
};
static_assert(sizeof(struct erofs_xattr_entry) == 4, "EROFS xattr entry");

#endif
