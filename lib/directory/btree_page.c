#include "btree_page.h"

#include <endian.h>
#include <string.h>
#include <unistd.h>

#define PAGE        BTREE_PAGE_SIZE
#define SUM_AT      28
#define ITEMS_AT    32 /* offsets of the items, two bytes each */
#define LANES       4  /* words of eight bytes */
#define LEAF_HEAD   3  /* bytes before an item's data: its size and type, */
#define BRANCH_HEAD 12 /* and the child with how many records it has */
#define CHILD_AT    4
#define LONG_SIZE   12    /* of an item whose data lies elsewhere */
#define POWER_2     0x441 /* 33 to that power, mod 2^32 */
#define POWER_4     0x121881ULL
#define POWER_8     0x747c7101
#define POWER_32    0x1137c401

/* In the place of libdb's log sequence number, which means nothing without a log. */
static const uint8_t stamp[8] = {0, 0, 0, 0, 'b', 'r', 'i', 'm'};

int
btree_page_damaged(
	const struct users *u, uint32_t number, const char *what, struct reason *why)
{
	return reason_set(why, "%s: damaged: page %u %s", u->path, number, what);
}

/* Eight bytes of the sum at once: neighbours are put together, then pairs, then fours. */
static uint64_t
sum_word(uint64_t word)
{
	word = (word & 0x00ff00ff00ff00ff) * 33 + (word >> 8 & 0x00ff00ff00ff00ff);
	word = (word & 0x0000ffff0000ffff) * POWER_2 + (word >> 16 & 0x0000ffff0000ffff);
	return (uint32_t)word * POWER_4 + (word >> 32);
}

/* libdb's sum is h = 33 * h + byte over the page. It's taken here in lanes that need not
 * wait for one another, each with every fourth word, and put together in the end. */
uint32_t
btree_page_sum(const uint8_t *bytes, size_t size)
{
	uint32_t lane[LANES] = {0}, sum = 0;
	uint64_t words[LANES];

	for (size_t at = 0; at < size; at += sizeof words) {
		memcpy(words, bytes + at, sizeof words);
		for (size_t i = 0; i < LANES; i++)
			lane[i] = lane[i] * (uint32_t)POWER_32 +
				  (uint32_t)sum_word(le64toh(words[i]));
	}
	for (size_t i = 0; i < LANES; i++)
		sum = sum * (uint32_t)POWER_8 + lane[i];
	return sum;
}

void
btree_page_take_apart(struct btree_page *p)
{
	memcpy(&p->number, p->bytes + 8, 4);
	memcpy(&p->previous, p->bytes + 12, 4);
	memcpy(&p->next, p->bytes + 16, 4);
	memcpy(&p->entries, p->bytes + 20, 2);
	memcpy(&p->used, p->bytes + 22, 2);
	p->level = p->bytes[24];
	p->type = p->bytes[25];
	p->stamped = memcmp(p->bytes, stamp, sizeof stamp) == 0;
	memcpy(&p->sum, p->bytes + SUM_AT, 4);
	memset(p->bytes + SUM_AT, 0, 4);
}

int
btree_page_read_any(
	const struct users *u, uint32_t number, struct btree_page *p, struct reason *why)
{
	ssize_t n = pread(u->fd, p->bytes, PAGE, (off_t)number * PAGE);

	if (n < 0)
		return reason_errno(why, "%s: read", u->path);
	if (n != PAGE)
		return btree_page_damaged(u, number, "is cut off", why);
	btree_page_take_apart(p);
	return p->sum == btree_page_sum(p->bytes, PAGE);
}

int
btree_page_read(
	const struct users *u, uint32_t number, struct btree_page *p, struct reason *why)
{
	int right = btree_page_read_any(u, number, p, why);

	if (right < 0)
		return -1;
	if (p->number != number)
		return btree_page_damaged(u, number, "is not itself", why);
	if (!right)
		return btree_page_damaged(u, number, "has a wrong checksum", why);
	return 0;
}

int
btree_page_stamp(const struct users *u, struct btree_page *p, struct reason *why)
{
	ssize_t n;

	memcpy(p->bytes, stamp, sizeof stamp);
	p->sum = btree_page_sum(p->bytes, PAGE);
	memcpy(p->bytes + SUM_AT, &p->sum, 4);
	n = pwrite(u->fd, p->bytes, PAGE, (off_t)p->number * PAGE);
	memset(p->bytes + SUM_AT, 0, 4);
	if (n < 0)
		return reason_errno(why, "%s: write", u->path);
	return n == PAGE ? 0 : reason_set(why, "%s: write: cut short", u->path);
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

/* Where the data of a long item is told. */
static int
take_long(struct btree_item *item, const uint8_t *told, const uint8_t *end)
{
	item->size = 0;
	if (told + LONG_SIZE > end)
		return -1;
	memcpy(&item->chain, told + 4, 4);
	memcpy(&item->length, told + 8, 4);
	return 0;
}

int
btree_page_item(const struct users *u, const struct btree_page *p, size_t index,
	struct btree_item *item, struct reason *why)
{
	const int is_branch = p->type == BTREE_PAGE_BRANCH;
	const size_t head = is_branch ? BRANCH_HEAD : LEAF_HEAD;
	const uint8_t *end = p->bytes + PAGE;
	uint16_t at;

	*item = (struct btree_item){0};
	memcpy(&at, p->bytes + ITEMS_AT + 2 * index, 2);
	if (at < ITEMS_AT + 2 * (size_t)p->entries || at + head > PAGE)
		return btree_page_damaged(
			u, p->number, "has an item that lies outside", why);
	memcpy(&item->size, p->bytes + at, 2);
	item->type = p->bytes[at + 2];
	item->data = p->bytes + at + head;
	if (is_branch)
		memcpy(&item->child, p->bytes + at + CHILD_AT, 4);
	if (((item->type & ~BTREE_ITEM_DELETED) == BTREE_ITEM_LONG &&
		    take_long(item, is_branch ? item->data : p->bytes + at, end)) ||
		item->data + item->size > end)
		return btree_page_damaged(
			u, p->number, "has an item that lies outside", why);
	return 0;
}

int
btree_page_long(const struct users *u, const struct btree_item *item, uint8_t *to,
	int (*seen)(void *arg, uint32_t number), void *arg, struct reason *why)
{
	uint32_t number = item->chain, before = 0, got = 0;
	struct btree_page p;

	if (item->length > BTREE_LONG_MAX)
		return btree_page_damaged(u, number, "begins an item too long", why);
	while (got < item->length) {
		if (seen && seen(arg, number))
			return btree_page_damaged(
				u, number, "stands in the tree where it can't", why);
		if (btree_page_read(u, number, &p, why))
			return -1;
		if (p.type != BTREE_PAGE_LONG || p.previous != before || p.used == 0 ||
			p.used > PAGE - ITEMS_AT || p.used > item->length - got)
			return btree_page_damaged(
				u, number, "is not of its long item", why);
		memcpy(to + got, p.bytes + ITEMS_AT, p.used);
		got += p.used;
		before = number;
		number = p.next;
	}
	return number ? btree_page_damaged(u, before, "is not its item's last", why) : 0;
}

int
btree_page_order(const struct btree_item *item, const uint8_t *key, size_t size)
{
	size_t common = item->size < size ? item->size : size;
	int order = common ? memcmp(item->data, key, common) : 0;

	return order ? order : (item->size > size) - (item->size < size);
}
