/*
 * One page of the user table, taken apart here and not by libdb: that one can spin or
 * crash on a damaged page, and its start costs a fresh process more than its look-ups.
 *
 * The form is that of libdb 5.3 (its dbinc/db_page.h and btree.h), with checksums and in
 * the byte order of the host; whatever else is there is damage. Nothing outside of the
 * page's bytes is ever touched.
 */
#ifndef BRIM_BTREE_PAGE_H
#define BRIM_BTREE_PAGE_H

#include <stdint.h>

#include "users_db.h"

#define BTREE_LEVELS_MAX   20 /* levels; a branch has two children or more */
#define BTREE_ITEM_DELETED 0x80
#define BTREE_ITEM_PLAIN   1 /* types of items: a key or value as it is, */
#define BTREE_ITEM_LONG    3 /* and one that lies in pages of its own */
#define BTREE_PAGE_BRANCH  3 /* types of pages */
#define BTREE_PAGE_LEAF    5
#define BTREE_META_SIZE    512 /* of the first page is in use, and in its sum */

struct btree_page {
	uint32_t number, previous, next, sum;
	uint16_t entries;
	uint8_t level, type;
	uint8_t bytes[BTREE_PAGE_SIZE]; /* the sum is zeroed */
};

/* An item of a page: a key, a value or a branch's separator. */
struct btree_item {
	const uint8_t *data;
	uint16_t size;  /* 0 of a long one */
	uint8_t type;   /* with BTREE_ITEM_DELETED, if it is */
	uint32_t child; /* of a separator */
};

/* Reads the page, which must carry its number and a right checksum: 0, -1. */
int btree_page_read(
	const struct users *u, uint32_t number, struct btree_page *p, struct reason *why);

/* Looks whether it's a page of the tree, of LEVEL (0: any), and its entries fit: 0, -1.
 */
int btree_page_check(
	const struct users *u, const struct btree_page *p, int level, struct reason *why);

/* The item at INDEX, which must lie in the page: 0, -1. */
int btree_page_item(const struct users *u, const struct btree_page *p, size_t index,
	struct btree_item *item, struct reason *why);

/* As libdb puts keys in order: bytewise, the shorter one first. */
int btree_page_order(const struct btree_item *item, const uint8_t *key, size_t size);

/* libdb's sum of BYTES; SIZE is a multiple of 16. */
uint32_t btree_page_sum(const uint8_t *bytes, size_t size);

/* The reason for a damaged page; always -1. */
int btree_page_damaged(
	const struct users *u, uint32_t number, const char *what, struct reason *why);

#endif
