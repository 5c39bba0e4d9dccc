/*
 * Reading all of a user table, so that damage shows: every page's number and checksum,
 * and the tree from its root, key by key. libdb would take several times as long, and
 * can spin. The table's open has looked at the first page's checksum.
 */
#include <stdlib.h>
#include <string.h>

#include "btree_page.h"

struct walk {
	const struct users *u;
	struct reason *why;
	uint8_t *seen; /* a byte a page */
	uint32_t pages;
	uint32_t leaf, after_leaf; /* the leaf that was last, and the one it names next */
	uint8_t before[BTREE_PAGE_SIZE]; /* the last key or separator */
	size_t before_size;
	int is_separator; /* the key that comes may be equal to it */
	int keys;         /* one was there */
};

static int
damaged(const struct walk *w, uint32_t number, const char *what)
{
	btree_page_damaged(w->u, number, what, w->why);
	return -1;
}

/* Reads the page, which no other has led to. */
static int
read_page(struct walk *w, uint32_t number, struct btree_page *p)
{
	if (number == 0 || number >= w->pages || w->seen[number])
		return damaged(w, number, "stands in the tree where it can't");
	w->seen[number] = 1;
	return btree_page_read(w->u, number, p, w->why);
}

/* Keys and the separators between them ascend; the key behind a separator may be it. Long
 * ones are left out. */
static int
step(struct walk *w, uint32_t number, const struct btree_item *item, int is_separator)
{
	int order;

	if ((item->type & ~BTREE_ITEM_DELETED) == BTREE_ITEM_LONG)
		return 0;
	order = btree_page_order(item, w->before, w->before_size);
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
check_leaf(struct walk *w, const struct btree_page *p)
{
	struct btree_item key, value;

	if (p->previous != w->leaf || (w->leaf && w->after_leaf != p->number))
		return damaged(w, p->number, "is not its neighbours' neighbour");
	w->leaf = p->number;
	w->after_leaf = p->next;
	for (size_t i = 0; i < p->entries; i += 2)
		if (btree_page_item(w->u, p, i, &key, w->why) ||
			btree_page_item(w->u, p, i + 1, &value, w->why) ||
			step(w, p->number, &key, 0))
			return -1;
	return 0;
}

static int check_tree(struct walk *w, uint32_t number, int level);

/* The first child's separator means nothing. */
static int
check_branch(struct walk *w, const struct btree_page *p)
{
	struct btree_item separator;

	for (size_t i = 0; i < p->entries; i++) {
		if (btree_page_item(w->u, p, i, &separator, w->why) ||
			(i && step(w, p->number, &separator, 1)) ||
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

	if (read_page(w, number, &p) || btree_page_check(w->u, &p, level, w->why))
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

/* Pages that hold a long item, or nothing. */
static int
check_others(struct walk *w)
{
	struct btree_page p;

	for (uint32_t n = 1; n < w->pages; n++) {
		if (w->seen[n])
			continue;
		if (read_page(w, n, &p))
			return -1;
		if (p.type == BTREE_PAGE_LEAF || p.type == BTREE_PAGE_BRANCH)
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
		w->pages = (uint32_t)(u->stat.st_size / BTREE_PAGE_SIZE);
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
