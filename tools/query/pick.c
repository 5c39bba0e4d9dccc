/*
 * The first mailboxes in an order. While there is room all are held; then a heap with the
 * last of them on top, which goes when one comes that belongs before it. So --top needs
 * memory for what it shows alone, and --sort for all: a line of text each.
 */
#include "brimq.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct brimq_picked {
	uint64_t key;   /* the larger comes first */
	uint64_t order; /* then as they came */
	char *name;
	char *line; /* the record */
};

/* --- orders ------------------------------------------------------------------------ */

static const struct {
	const char *name;
	enum brimq_sort sort;
} sorts[] = {
	{"used", BRIMQ_BY_USED},
	{"percent", BRIMQ_BY_PERCENT},
	{"limit", BRIMQ_BY_LIMIT},
	{"messages", BRIMQ_BY_MESSAGES},
	{"name", BRIMQ_BY_NAME},
};

int
brimq_sort_parse(const char *name, enum brimq_sort *sort)
{
	for (size_t i = 0; i < COUNT(sorts); i++)
		if (strcmp(sorts[i].name, name) == 0) {
			*sort = sorts[i].sort;
			return 0;
		}
	return -1;
}

/* Finer than the per cent that are shown. */
static uint64_t
share(uint64_t n, uint64_t limit)
{
	unsigned __int128 result = limit ? (unsigned __int128)n * 1000000 / limit : 0;

	return result > UINT64_MAX - 1 ? UINT64_MAX - 1 : (uint64_t)result;
}

/* 0 is for what is not known. */
static uint64_t
key_of(enum brimq_sort sort, const struct brimq_numbers *n)
{
	uint64_t bytes = share(n->used, n->limit),
		 messages = share(n->messages, n->message_limit);

	switch (sort) {
	case BRIMQ_BY_USED:
		return n->known ? n->used + (n->used < UINT64_MAX) : 0;
	case BRIMQ_BY_MESSAGES:
		return n->known ? n->messages + (n->messages < UINT64_MAX) : 0;
	case BRIMQ_BY_PERCENT:
		return n->has_percent ? 1 + (bytes > messages ? bytes : messages) : 0;
	case BRIMQ_BY_LIMIT:
		return n->limit ? n->limit : UINT64_MAX;
	case BRIMQ_AS_THEY_COME:
	case BRIMQ_BY_NAME:
		break;
	}
	return 0;
}

static int
compare(const struct brimq_picked *a, const struct brimq_picked *b, int by_name)
{
	int names = by_name ? strcmp(a->name, b->name) : 0;

	if (names)
		return names;
	if (a->key != b->key)
		return a->key > b->key ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

static int
compare_held(const void *a, const void *b, void *by_name)
{
	return compare(a, b, *(const int *)by_name);
}

/* --- the heap: nobody belongs behind the first -------------------------------------- */

static void
sift_down(struct brimq_pick *p, size_t at)
{
	struct brimq_picked *h = p->held, moved = h[at];
	int by_name = p->sort == BRIMQ_BY_NAME;
	size_t child;

	while ((child = 2 * at + 1) < p->count) {
		if (child + 1 < p->count &&
			compare(&h[child + 1], &h[child], by_name) > 0)
			child++;
		if (compare(&h[child], &moved, by_name) <= 0)
			break;
		h[at] = h[child];
		at = child;
	}
	h[at] = moved;
}

static void
make_heap(struct brimq_pick *p)
{
	for (size_t i = p->count / 2; i-- > 0;)
		sift_down(p, i);
}

static void
let_go(struct brimq_picked *one)
{
	free(one->name);
	free(one->line);
}

/* --- holding ------------------------------------------------------------------------ */

static int
hold(struct brimq_picked *one, const struct record *fields)
{
	one->name = strdup(one->name);
	one->line = record_format(fields);
	if (one->name && one->line)
		return 0;
	let_go(one);
	return -1;
}

static int
make_room(struct brimq_pick *p)
{
	size_t room = p->room ? 2 * p->room : 64;
	struct brimq_picked *grown;

	if (p->count < p->room)
		return 0;
	grown = reallocarray(p->held, room, sizeof *grown);
	if (!grown)
		return -1;
	p->held = grown;
	p->room = room;
	return 0;
}

int
brimq_pick_add(
	struct brimq_pick *p, const struct brimq_numbers *n, const struct record *fields)
{
	struct brimq_picked one = {.key = key_of(p->sort, n), .order = p->seen++};

	/* only read until it is held */
	one.name = (char *)(uintptr_t)record_get(fields, "mailbox");
	if (p->count == p->most) {
		if (p->most == 0 ||
			compare(&one, &p->held[0], p->sort == BRIMQ_BY_NAME) > 0)
			return 0;
		if (hold(&one, fields))
			return -1;
		let_go(&p->held[0]);
		p->held[0] = one;
		sift_down(p, 0);
		return 0;
	}
	if (make_room(p) || hold(&one, fields))
		return -1;
	p->held[p->count++] = one;
	if (p->count == p->most)
		make_heap(p);
	return 0;
}

static int
tell(const char *line, int (*each)(void *arg, const struct record *fields), void *arg)
{
	struct record fields;
	int result;

	if (record_parse(&fields, line, strlen(line), 0, NULL))
		return -1;
	result = each(arg, &fields);
	record_clear(&fields);
	return result;
}

int
brimq_pick_end(struct brimq_pick *p, int (*each)(void *arg, const struct record *fields),
	void *arg)
{
	int by_name = p->sort == BRIMQ_BY_NAME, result = 0;

	if (p->count)
		qsort_r(p->held, p->count, sizeof *p->held, compare_held, &by_name);
	for (size_t i = 0; i < p->count; i++) {
		if (!result)
			result = tell(p->held[i].line, each, arg);
		let_go(&p->held[i]);
	}
	free(p->held);
	memset(p, 0, sizeof *p);
	return result;
}
