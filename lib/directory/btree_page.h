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

#include "users_file.h"

#define BTREE_LEVELS_MAX   20 /* levels; a branch has two children or more */
#define BTREE_ITEM_DELETED 0x80
#define BTREE_ITEM_PLAIN   1 /* types of items: a key or value as it is, */
#define BTREE_ITEM_LONG    3 /* and one that lies in pages of its own */
#define BTREE_PAGE_FREE    0 /* types of pages */
#define BTREE_PAGE_BRANCH  3
#define BTREE_PAGE_LEAF    5
#define BTREE_PAGE_LONG    7
#define BTREE_LONG_MAX     8192 /* bytes of a long item: more than any of ours has */
#define BTREE_META_SIZE    512  /* of the first page is in use, and in its sum */

struct btree_page {
	uint32_t number, previous, next, sum;
	uint16_t entries;
	uint16_t used; /* bytes of a long item's page */
	uint8_t level, type;
	int stamped; /* brimadm wrote it, or has read it back since it was written */
	uint8_t bytes[BTREE_PAGE_SIZE]; /* the sum is zeroed */
};

/* An item of a page: a key, a value or a branch's separator. */
struct btree_item {
	const uint8_t *data;
	uint16_t size;          /* 0 of a long one */
	uint8_t type;           /* with BTREE_ITEM_DELETED, if it is */
	uint32_t child;         /* of a separator */
	uint32_t chain, length; /* of a long one: its first page, and all its bytes */
};

/* Reads the page, which must carry its number and a right checksum: 0, -1. */
int btree_page_read(
	const struct users *u, uint32_t number, struct btree_page *p, struct reason *why);

/* Looks whether it's a page of the tree, of LEVEL (0: any), and its entries fit: 0, -1.
 */
int btree_page_check(
	const struct users *u, const struct btree_page *p, int level, struct reason *why);

/* Reads the page as it stands, and says whether its checksum is right: 1, 0, or -1 where
 * it can't be read. */
int btree_page_read_any(
	const struct users *u, uint32_t number, struct btree_page *p, struct reason *why);

/* Takes apart the page that stands in P's bytes; its checksum is not compared. */
void btree_page_take_apart(struct btree_page *p);

/* Marks the page, which has a right checksum, and writes it: 0, -1. libdb takes the mark
 * away from each page that it changes, so a page without one in a table that has a sum
 * was changed by a program that knows nothing of the sum. */
int btree_page_stamp(const struct users *u, struct btree_page *p, struct reason *why);

/* Reads a long item of at most BTREE_LONG_MAX bytes to TO. SEEN is called with each of
 * its pages, and ends it where it is not 0; it may be NULL. 0, -1. */
int btree_page_long(const struct users *u, const struct btree_item *item, uint8_t *to,
	int (*seen)(void *arg, uint32_t number), void *arg, struct reason *why);

/* The item at INDEX, which must lie in the page: 0, -1. */
int btree_page_item(const struct users *u, const struct btree_page *p, size_t index,
	struct btree_item *item, struct reason *why);

/* As libdb puts keys in order: bytewise, the shorter one first. */
int btree_page_order(const struct btree_item *item, const uint8_t *key, size_t size);

/* libdb's sum of BYTES; SIZE is a multiple of 32. */
uint32_t btree_page_sum(const uint8_t *bytes, size_t size);

/* The reason for a damaged page; always -1. */
int btree_page_damaged(
	const struct users *u, uint32_t number, const char *what, struct reason *why);

#endif
