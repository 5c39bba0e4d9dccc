/*
 * Reading all of a user table, so that damage shows: every page's number and checksum,
 * the tree from its root, key by key, each page once, and what the table says of how much
 * it holds. libdb would take several times as long, and can spin. The table's open has
 * looked at the first page's checksum.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "amount.h"
#include "btree_page.h"

/* Pages read at a time: a load puts the leaves of paths and of records in turn, so that
 * about every second is wanted. */
#define AT_ONCE 32

enum seen { UNSEEN, IN_TREE, IN_LONG, FREE };

struct walk {
	struct users *u;
	struct reason *why;
	int stamps;    /* pages that libdb has written get the stamp */
	uint8_t *seen; /* of each page, enum seen */
	uint32_t pages;
	uint32_t leaf, after_leaf; /* the leaf that was last, and the one it names next */
	uint8_t before[BTREE_LONG_MAX]; /* the last key or separator */
	size_t before_size;
	int is_separator; /* the key that comes may be equal to it */
	int keys;         /* one was there */
	int is_key;       /* the long item is one: a separator may share its pages */
	int unstamped;    /* a page was */
	struct totals totals;
	char told[256]; /* the table's own record */
	size_t told_size;
	uint8_t long_key[BTREE_LONG_MAX], long_value[BTREE_LONG_MAX];
	uint8_t window[AT_ONCE * BTREE_PAGE_SIZE];
	uint32_t window_at, window_pages; /* what is in the window */
};

/* The processor's widest registers are used where all pages are read. A process that
 * reads two or three does without: to ask for the processor's kind takes longer than they
 * do. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

#define WORDS    8 /* of four bytes, in a register */
#define LANES    4 /* registers */
#define POWER_2  (33U * 33)
#define POWER_4  (POWER_2 * POWER_2)
#define POWER_16 (POWER_4 * POWER_4 * POWER_4 * POWER_4)
#define POWER_64 (POWER_16 * POWER_16 * POWER_16 * POWER_16)
#define ROUND    (POWER_64 * POWER_64) /* 33 to the 128th, the bytes of all lanes */

typedef uint32_t words __attribute__((vector_size(4 * WORDS)));

/* As btree_page_sum: neighbours are put together, then pairs, then lanes. */
WIDE static uint32_t
sum_page(const uint8_t *bytes)
{
#if __BYTE_ORDER == __BIG_ENDIAN
	return btree_page_sum(bytes, BTREE_PAGE_SIZE);
#else
	words lane[LANES] = {0}, w;
	uint32_t sum = 0;

	for (size_t at = 0; at < BTREE_PAGE_SIZE; at += sizeof lane)
		for (size_t i = 0; i < LANES; i++) {
			memcpy(&w, bytes + at + i * sizeof w, sizeof w);
			w = (w & 0x00ff00ff) * 33 + (w >> 8 & 0x00ff00ff);
			w = (w & 0x0000ffff) * POWER_2 + (w >> 16);
			lane[i] = lane[i] * ROUND + w;
		}
	for (size_t i = 0; i < LANES; i++)
		for (size_t j = 0; j < WORDS; j++)
			sum = sum * POWER_4 + lane[i][j];
	return sum;
#endif
}

static int
damaged(const struct walk *w, uint32_t number, const char *what)
{
	return btree_page_damaged(w->u, number, what, w->why);
}

/* Several at once where they are read in about their order. */
static int
fill_window(struct walk *w, uint32_t number)
{
	const uint32_t end = w->window_at + w->window_pages;
	const size_t pages = number >= end && number - end < AT_ONCE ? AT_ONCE : 1;
	ssize_t n = pread(w->u->fd, w->window, pages * BTREE_PAGE_SIZE,
		(off_t)number * BTREE_PAGE_SIZE);

	if (n < 0)
		return reason_errno(w->why, "%s: read", w->u->path);
	if (n < BTREE_PAGE_SIZE)
		return damaged(w, number, "is cut off");
	w->window_at = number;
	w->window_pages = (uint32_t)n / BTREE_PAGE_SIZE;
	return 0;
}

static int
read_page(struct walk *w, uint32_t number, struct btree_page *p)
{
	if ((number < w->window_at || number - w->window_at >= w->window_pages) &&
		fill_window(w, number))
		return -1;
	memcpy(p->bytes, w->window + (size_t)(number - w->window_at) * BTREE_PAGE_SIZE,
		BTREE_PAGE_SIZE);
	btree_page_take_apart(p);
	if (p->sum != sum_page(p->bytes))
		return damaged(w, number, "has a wrong checksum");
	if (p->number != number)
		return damaged(w, number, "is not itself");
	if (p->stamped)
		return 0;
	w->unstamped = 1;
	return w->stamps ? btree_page_stamp(w->u, p, w->why) : 0;
}

/* Reads the page, which no other has led to. */
static int
reach_page(struct walk *w, uint32_t number, struct btree_page *p)
{
	if (number == 0 || number >= w->pages || w->seen[number] != UNSEEN) {
		damaged(w, number, "stands in the tree where it can't");
		return -1;
	}
	w->seen[number] = IN_TREE;
	return read_page(w, number, p);
}

/* --- items ------------------------------------------------------------------------ */

/* Of a long item: a page of its own, but for keys, which their separators share. */
static int
see_long(void *arg, uint32_t number)
{
	struct walk *w = arg;
	struct btree_page p;

	if (number == 0 || number >= w->pages ||
		!(w->seen[number] == UNSEEN || (w->seen[number] == IN_LONG && w->is_key)))
		return -1;
	if (w->seen[number] == IN_LONG)
		return 0;
	w->seen[number] = IN_LONG;
	return read_page(w, number, &p);
}

/* The item's bytes, which lie in TO where they aren't in the page. */
static int
get_bytes(struct walk *w, const struct btree_item *item, int is_key, uint8_t *to, DBT *d)
{
	const int type = item->type & ~BTREE_ITEM_DELETED;

	*d = (DBT){.data = (void *)item->data, .size = item->size};
	if (type == BTREE_ITEM_PLAIN)
		return 0;
	if (type != BTREE_ITEM_LONG)
		return damaged(w, item->chain, "is named by an item of no known kind");
	w->is_key = is_key;
	*d = (DBT){.data = to, .size = item->length};
	return btree_page_long(w->u, item, to, see_long, w, w->why);
}

/* Keys and the separators between them ascend; the key behind a separator may be it. */
static int
step(struct walk *w, uint32_t number, const DBT *key, int is_separator)
{
	int order = users_file_compare(key, w->before, w->before_size);

	if (order < 0 || (order == 0 && (w->keys || is_separator) && !w->is_separator))
		return damaged(w, number, "has a key out of order");
	if (!w->keys && !is_separator &&
		users_file_compare(key, users_key_first, sizeof users_key_first) != 0)
		return damaged(w, number, "lacks the first key");
	memcpy(w->before, key->data, key->size);
	w->before_size = key->size;
	w->is_separator = is_separator;
	w->keys |= !is_separator;
	return 0;
}

/* Counts what is there, and keeps what the table says of itself. */
static void
take_entry(struct walk *w, const DBT *key, const DBT *value)
{
	totals_add(&w->totals, key->data, key->size, value->data, value->size);
	if (users_file_compare(key, users_key_table, 1) == 0 &&
		value->size <= sizeof w->told) {
		memcpy(w->told, value->data, value->size);
		w->told_size = value->size;
	}
}

/* --- the tree --------------------------------------------------------------------- */

static int
check_leaf(struct walk *w, const struct btree_page *p)
{
	struct btree_item item;
	DBT key, value;
	int is_there;

	if (p->previous != w->leaf || (w->leaf && w->after_leaf != p->number))
		return damaged(w, p->number, "is not its neighbours' neighbour");
	w->leaf = p->number;
	w->after_leaf = p->next;
	for (size_t i = 0; i < p->entries; i += 2) {
		if (btree_page_item(w->u, p, i, &item, w->why) ||
			get_bytes(w, &item, 1, w->long_key, &key) ||
			step(w, p->number, &key, 0) ||
			btree_page_item(w->u, p, i + 1, &item, w->why))
			return -1;
		is_there = !(item.type & BTREE_ITEM_DELETED);
		if (get_bytes(w, &item, 0, w->long_value, &value))
			return -1;
		if (is_there)
			take_entry(w, &key, &value);
	}
	return 0;
}

static int check_tree(struct walk *w, uint32_t number, int level);

/* The first child's separator means nothing. */
static int
check_branch(struct walk *w, const struct btree_page *p)
{
	struct btree_item separator;
	DBT key;

	for (size_t i = 0; i < p->entries; i++) {
		if (btree_page_item(w->u, p, i, &separator, w->why) ||
			(i && (get_bytes(w, &separator, 1, w->long_key, &key) ||
				      step(w, p->number, &key, 1))) ||
			check_tree(w, separator.child, p->level - 1))
			return -1;
	}
	return 0;
}

/* The page and all below; LEVEL is what it must say of itself, 0 for any. */
static int
check_tree(struct walk *w, uint32_t number, int level)
{
	struct btree_page p;

	if (reach_page(w, number, &p) || btree_page_check(w->u, &p, level, w->why))
		return -1;
	return p.type == BTREE_PAGE_LEAF ? check_leaf(w, &p) : check_branch(w, &p);
}

static int
check_root(struct walk *w)
{
	if (check_tree(w, w->u->root, 0))
		return -1;
	if (w->after_leaf)
		return damaged(w, w->leaf, "is the last, and names another");
	if (w->before_size != sizeof users_key_last ||
		memcmp(w->before, users_key_last, w->before_size) != 0)
		return damaged(w, w->leaf, "lacks the last key");
	return 0;
}

/* Pages that libdb will use when the table grows: it takes their word for it. */
static int
check_free(struct walk *w)
{
	struct btree_page p;

	for (uint32_t n = w->u->free; n != 0; n = p.next) {
		if (reach_page(w, n, &p))
			return -1;
		w->seen[n] = FREE;
		if (p.type != BTREE_PAGE_FREE)
			return damaged(w, n, "is in use, and listed as free");
	}
	return 0;
}

static int
check_others(struct walk *w)
{
	struct btree_page p;

	for (uint32_t n = 1; n < w->pages; n++) {
		if (w->seen[n] != UNSEEN)
			continue;
		if (read_page(w, n, &p))
			return -1;
		if (p.type != BTREE_PAGE_FREE)
			return damaged(w, n, "is in no tree");
	}
	return 0;
}

/* --- the totals ------------------------------------------------------------------- */

static int
compare_totals(struct walk *w)
{
	struct users *u = w->u;
	struct totals told;
	int has = users_file_totals(w->told, w->told_size, &told);

	u->totals = w->totals;
	u->sum = USERS_SUM_NONE;
	if (has < 0)
		return users_file_damaged(
			u, "what it says of itself makes no sense", w->why);
	if (!has)
		return 0;
	u->sum = w->unstamped && !w->stamps ? USERS_SUM_OLD : USERS_SUM_RIGHT;
	if (u->sum == USERS_SUM_OLD)
		return 0;
	if (told.records != w->totals.records)
		return reason_set(w->why, "%s: damaged: it had %s and has %llu", u->path,
			AMOUNT_OF(told.records, "record", "records"),
			(unsigned long long)w->totals.records);
	if (told.sum != w->totals.sum)
		return users_file_damaged(
			u, "its records are not those that were written", w->why);
	return 0;
}

int
btree_verify(struct users *u, int stamps, struct reason *why)
{
	struct walk *w = calloc(1, sizeof *w);
	int result = -1;

	if (w) {
		w->u = u;
		w->why = why;
		w->stamps = stamps;
		w->pages = (uint32_t)(u->stat.st_size / BTREE_PAGE_SIZE);
		w->seen = calloc(w->pages ? w->pages : 1, 1);
	}
	if (!w || !w->seen)
		reason_no_memory(why, u->path);
	else
		result = check_root(w) || check_free(w) || check_others(w) ||
					 compare_totals(w)
				 ? -1
				 : 0;
	if (w)
		free(w->seen);
	free(w);
	return result;
}

int
users_read_through(struct users *u, struct reason *why)
{
	return btree_verify(u, 0, why);
}

enum users_sum
users_sum(const struct users *u)
{
	return u->sum;
}
