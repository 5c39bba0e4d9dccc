/*
 * Reading all of a user table, so that damage shows: every page's number and checksum,
 * and the tree from its root, key by key. The pages are taken apart here, within bounds,
 * and not by libdb: that one can spin or crash on a damaged page, and takes several times
 * as long. Its open has looked at the first page's checksum.
 *
 * The form is that of libdb 5.3 (its dbinc/db_page.h and btree.h), with checksums and in
 * the byte order of the host; whatever else is there is damage.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "users_db.h"

#define PAGE      USERS_PAGE_SIZE
#define ROOT_AT   88 /* in the first page */
#define SUM_AT    28
#define ITEMS_AT  32 /* offsets of the items, two bytes each */
#define TREE_MAX  20 /* levels; a branch has two children or more */
#define LANES     16
#define DELETED   0x80
#define LONG_ITEM 3 /* type of an item that lies in pages of its own */
#define BRANCH    3 /* types of pages */
#define LEAF      5

struct page {
	uint32_t number, previous, next, sum;
	uint16_t entries;
	uint8_t level, type;
	uint8_t bytes[PAGE]; /* the sum is zeroed */
};

/* An item of a page: a key, a value or a branch's separator. */
struct item {
	const uint8_t *data;
	uint16_t size;
	uint8_t type;
};

struct walk {
	const struct users *u;
	struct reason *why;
	uint8_t *seen; /* a byte a page */
	uint32_t pages;
	uint32_t leaf, after_leaf; /* the leaf that was last, and the one it names next */
	uint8_t before[PAGE];      /* the last key or separator */
	size_t before_size;
	int is_separator; /* the key that comes may be equal to it */
	int keys;         /* one was there */
};

static int
damaged(const struct walk *w, uint32_t number, const char *what)
{
	return reason_set(w->why, "%s: damaged: page %u %s", w->u->path, number, what);
}

/* libdb's sum is h = 33 * h + byte over the page. It's taken here in lanes that need not
 * wait for one another, each with every 16th byte, and put together in the end. */
static uint32_t
sum_of(const uint8_t bytes[PAGE])
{
	static const uint32_t step = 0x92d9e201; /* 33 to the 16th */
	uint32_t lane[LANES] = {0}, sum = 0;

	for (size_t at = 0; at < PAGE; at += LANES)
		for (size_t i = 0; i < LANES; i++)
			lane[i] = lane[i] * step + bytes[at + i];
	for (size_t i = 0; i < LANES; i++)
		sum = sum * 33 + lane[i];
	return sum;
}

static void
take_apart(struct page *p)
{
	memcpy(&p->number, p->bytes + 8, 4);
	memcpy(&p->previous, p->bytes + 12, 4);
	memcpy(&p->next, p->bytes + 16, 4);
	memcpy(&p->entries, p->bytes + 20, 2);
	p->level = p->bytes[24];
	p->type = p->bytes[25];
	memcpy(&p->sum, p->bytes + SUM_AT, 4);
	memset(p->bytes + SUM_AT, 0, 4);
}

/* Reads the page, which no other has led to. */
static int
read_page(struct walk *w, uint32_t number, struct page *p)
{
	ssize_t n;

	if (number == 0 || number >= w->pages || w->seen[number])
		return damaged(w, number, "stands in the tree where it can't");
	w->seen[number] = 1;
	n = pread(w->u->fd, p->bytes, PAGE, (off_t)number * PAGE);
	if (n < 0)
		return reason_errno(w->why, "%s: read", w->u->path);
	if (n != PAGE)
		return damaged(w, number, "is cut off");
	take_apart(p);
	if (p->number != number)
		return damaged(w, number, "is not itself");
	return p->sum == sum_of(p->bytes) ? 0
					  : damaged(w, number, "has a wrong checksum");
}

/* Takes the item at INDEX; HEAD bytes, its size and type among them, are before its data.
 * A long one has none here. */
static int
take_item(const struct walk *w, const struct page *p, size_t index, size_t head,
	struct item *item)
{
	uint16_t at;

	memcpy(&at, p->bytes + ITEMS_AT + 2 * index, 2);
	if (at < ITEMS_AT + 2 * (size_t)p->entries || at + head > PAGE)
		return damaged(w, p->number, "has an item that lies outside");
	memcpy(&item->size, p->bytes + at, 2);
	item->type = p->bytes[at + 2] & ~DELETED;
	item->data = p->bytes + at + head;
	if (item->type == LONG_ITEM)
		item->size = 0;
	if (at + head + item->size > PAGE)
		return damaged(w, p->number, "has an item that lies outside");
	return 0;
}

static int
compare_to_before(const struct walk *w, const struct item *item)
{
	size_t common = item->size < w->before_size ? item->size : w->before_size;
	int order = common ? memcmp(item->data, w->before, common) : 0;

	return order ? order
		     : (item->size > w->before_size) - (item->size < w->before_size);
}

/* Keys and the separators between them ascend; the key behind a separator may be it. Long
 * ones are left out. */
static int
step(struct walk *w, uint32_t number, const struct item *item, int is_separator)
{
	int order;

	if (item->type == LONG_ITEM)
		return 0;
	order = compare_to_before(w, item);
	if (order < 0 || (order == 0 && (w->keys || is_separator) && !w->is_separator))
		return damaged(w, number, "has a key out of order");
	if (!w->keys && !is_separator &&
		(item->size != sizeof users_key_first ||
			memcmp(item->data, users_key_first, item->size) != 0))
		return damaged(w, number, "lacks the first key");
	memcpy(w->before, item->data, item->size);
	w->before_size = item->size;
	w->is_separator = is_separator;
	w->keys |= !is_separator;
	return 0;
}

static int
check_leaf(struct walk *w, const struct page *p)
{
	struct item key, value;

	if (p->entries % 2)
		return damaged(w, p->number, "has a key without a value");
	if (p->previous != w->leaf || (w->leaf && w->after_leaf != p->number))
		return damaged(w, p->number, "is not its neighbours' neighbour");
	w->leaf = p->number;
	w->after_leaf = p->next;
	for (size_t i = 0; i < p->entries; i += 2)
		if (take_item(w, p, i, 3, &key) || take_item(w, p, i + 1, 3, &value) ||
			step(w, p->number, &key, 0))
			return -1;
	return 0;
}

static int check_tree(struct walk *w, uint32_t number, int level);

/* The first child's separator means nothing. */
static int
check_branch(struct walk *w, const struct page *p)
{
	struct item separator;
	uint32_t child;

	for (size_t i = 0; i < p->entries; i++) {
		if (take_item(w, p, i, 12, &separator))
			return -1;
		memcpy(&child, separator.data - 8, 4);
		if ((i && step(w, p->number, &separator, 1)) ||
			check_tree(w, child, p->level - 1))
			return -1;
	}
	return p->entries ? 0 : damaged(w, p->number, "leads nowhere");
}

/* The page and all below; LEVEL is what it must say of itself, 0 for any. */
static int
check_tree(struct walk *w, uint32_t number, int level)
{
	struct page p;

	if (read_page(w, number, &p))
		return -1;
	if (ITEMS_AT + 2 * (size_t)p.entries > PAGE)
		return damaged(w, number, "has more items than fit");
	if ((level && p.level != level) || p.level > TREE_MAX ||
		p.type != (p.level == 1 ? LEAF : BRANCH))
		return damaged(w, number, "is not of its level");
	return p.type == LEAF ? check_leaf(w, &p) : check_branch(w, &p);
}

static int
check_root(struct walk *w)
{
	uint32_t root;

	if (pread(w->u->fd, &root, sizeof root, ROOT_AT) != sizeof root)
		return reason_errno(w->why, "%s: read", w->u->path);
	if (check_tree(w, root, 0))
		return -1;
	if (w->after_leaf)
		return damaged(w, w->leaf, "is the last, and names another");
	if (w->before_size != sizeof users_key_last ||
		memcmp(w->before, users_key_last, w->before_size) != 0)
		return damaged(w, w->leaf, "lacks the last key");
	return 0;
}

/* Pages that hold a long item, or nothing. */
static int
check_others(struct walk *w)
{
	struct page p;

	for (uint32_t n = 1; n < w->pages; n++) {
		if (w->seen[n])
			continue;
		if (read_page(w, n, &p))
			return -1;
		if (p.type == LEAF || p.type == BRANCH)
			return damaged(w, n, "is in no tree");
	}
	return 0;
}

int
users_read_through(struct users *u, struct reason *why)
{
	struct walk *w = calloc(1, sizeof *w);
	int result = -1;

	if (w) {
		w->u = u;
		w->why = why;
		w->pages = (uint32_t)(u->stat.st_size / PAGE);
		w->seen = calloc(w->pages ? w->pages : 1, 1);
	}
	if (!w || !w->seen)
		reason_set(why, "%s: no memory", u->path);
	else
		result = check_root(w) || check_others(w) ? -1 : 0;
	if (w)
		free(w->seen);
	free(w);
	return result;
}
