#include "btree_page.h"

#include <string.h>
#include <unistd.h>

#define PAGE        BTREE_PAGE_SIZE
#define SUM_AT      28
#define ITEMS_AT    32 /* offsets of the items, two bytes each */
#define LANES       16
#define LEAF_HEAD   3  /* bytes before an item's data: its size and type, */
#define BRANCH_HEAD 12 /* and the child with how many records it has */
#define CHILD_AT    4

int
btree_page_damaged(
	const struct users *u, uint32_t number, const char *what, struct reason *why)
{
	return reason_set(why, "%s: damaged: page %u %s", u->path, number, what);
}

/* libdb's sum is h = 33 * h + byte over the page. It's taken here in lanes that need not
 * wait for one another, each with every 16th byte, and put together in the end. */
uint32_t
btree_page_sum(const uint8_t *bytes, size_t size)
{
	static const uint32_t step = 0x92d9e201; /* 33 to the 16th */
	uint32_t lane[LANES] = {0}, sum = 0;

	for (size_t at = 0; at < size; at += LANES)
		for (size_t i = 0; i < LANES; i++)
			lane[i] = lane[i] * step + bytes[at + i];
	for (size_t i = 0; i < LANES; i++)
		sum = sum * 33 + lane[i];
	return sum;
}

static void
take_apart(struct btree_page *p)
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

int
btree_page_read(
	const struct users *u, uint32_t number, struct btree_page *p, struct reason *why)
{
	ssize_t n = pread(u->fd, p->bytes, PAGE, (off_t)number * PAGE);

	if (n < 0)
		return reason_errno(why, "%s: read", u->path);
	if (n != PAGE)
		return btree_page_damaged(u, number, "is cut off", why);
	take_apart(p);
	if (p->number != number)
		return btree_page_damaged(u, number, "is not itself", why);
	if (p->sum != btree_page_sum(p->bytes, PAGE))
		return btree_page_damaged(u, number, "has a wrong checksum", why);
	return 0;
}

int
btree_page_check(
	const struct users *u, const struct btree_page *p, int level, struct reason *why)
{
	if (ITEMS_AT + 2 * (size_t)p->entries > PAGE)
		return btree_page_damaged(u, p->number, "has more items than fit", why);
	if ((level && p->level != level) || p->level > BTREE_LEVELS_MAX ||
		p->type != (p->level == 1 ? BTREE_PAGE_LEAF : BTREE_PAGE_BRANCH))
		return btree_page_damaged(u, p->number, "is not of its level", why);
	if (p->type == BTREE_PAGE_BRANCH && p->entries == 0)
		return btree_page_damaged(u, p->number, "leads nowhere", why);
	if (p->type == BTREE_PAGE_LEAF && p->entries % 2)
		return btree_page_damaged(u, p->number, "has a key without a value", why);
	return 0;
}

int
btree_page_item(const struct users *u, const struct btree_page *p, size_t index,
	struct btree_item *item, struct reason *why)
{
	size_t head = p->type == BTREE_PAGE_BRANCH ? BRANCH_HEAD : LEAF_HEAD;
	uint16_t at;

	memcpy(&at, p->bytes + ITEMS_AT + 2 * index, 2);
	if (at < ITEMS_AT + 2 * (size_t)p->entries || at + head > PAGE)
		return btree_page_damaged(
			u, p->number, "has an item that lies outside", why);
	memcpy(&item->size, p->bytes + at, 2);
	item->type = p->bytes[at + 2];
	item->data = p->bytes + at + head;
	item->child = 0;
	if (p->type == BTREE_PAGE_BRANCH)
		memcpy(&item->child, p->bytes + at + CHILD_AT, 4);
	if ((item->type & ~BTREE_ITEM_DELETED) == BTREE_ITEM_LONG)
		item->size = 0;
	if (at + head + item->size > PAGE)
		return btree_page_damaged(
			u, p->number, "has an item that lies outside", why);
	return 0;
}

int
btree_page_order(const struct btree_item *item, const uint8_t *key, size_t size)
{
	size_t common = item->size < size ? item->size : size;
	int order = common ? memcmp(item->data, key, common) : 0;

	return order ? order : (item->size > size) - (item->size < size);
}
