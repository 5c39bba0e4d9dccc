#include "salvage.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "btree_page.h"
#include "login_index.h"
#include "path_index.h"

struct bytes {
	const uint8_t *data;
	size_t size;
	uint8_t held[BTREE_LONG_MAX];
};

/* --- collecting ------------------------------------------------------------------- */

static int
keep(struct salvage *s, const struct bytes *key, const struct bytes *value, int in_place)
{
	struct salvaged *e;

	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : 1024;
		struct salvaged **grown = reallocarray(s->entries, room, sizeof *grown);

		if (!grown)
			return -1;
		s->entries = grown;
		s->room = room;
	}
	e = malloc(sizeof *e + key->size + value->size);
	if (!e)
		return -1;
	e->key_size = key->size;
	e->value_size = value->size;
	e->in_place = in_place;
	memcpy(e->bytes, key->data, key->size);
	memcpy(e->bytes + key->size, value->data, value->size);
	s->entries[s->count++] = e;
	return 0;
}

/* Whether the item is there and can be read. */
static int
get(const struct users *u, const struct btree_page *p, size_t index, struct bytes *b)
{
	struct btree_item item;

	if (btree_page_item(u, p, index, &item, NULL) || item.type & BTREE_ITEM_DELETED)
		return 0;
	b->data = item.data;
	b->size = item.size;
	if (item.type == BTREE_ITEM_PLAIN)
		return 1;
	b->data = b->held;
	b->size = item.length;
	return item.type == BTREE_ITEM_LONG &&
	       btree_page_long(u, &item, b->held, NULL, NULL, NULL) == 0;
}

static int
is_wanted(const struct bytes *key)
{
	return key->size > 0 && key->size <= BTREE_LONG_MAX &&
	       !(key->size == 1 && key->data[0] == (uint8_t)users_key_first[0]) &&
	       !(key->size > ADDRESS_MAX && key->data[0] != (uint8_t)users_key_first[0]);
}

static int
take_leaf(struct salvage *s, const struct users *u, const struct btree_page *p,
	int in_place)
{
	static struct bytes key, value; /* too large for a stack */

	for (size_t i = 0; i < p->entries; i += 2)
		if (get(u, p, i, &key) && is_wanted(&key) && get(u, p, i + 1, &value) &&
			keep(s, &key, &value, in_place))
			return -1;
	return 0;
}

static int
take_pages(struct salvage *s, const struct users *u, struct reason *why)
{
	const uint64_t pages = (uint64_t)u->stat.st_size / BTREE_PAGE_SIZE;
	struct btree_page p;

	for (uint64_t n = 1; n < pages; n++) {
		if (btree_page_read_any(u, (uint32_t)n, &p, NULL) <= 0 || p.number == 0)
			continue; /* 0: of zeros, or the first page's copy */
		s->unstamped |= !p.stamped;
		if (p.type == BTREE_PAGE_LEAF && btree_page_check(u, &p, 1, NULL) == 0 &&
			take_leaf(s, u, &p, p.number == n))
			return reason_no_memory(why, u->path);
	}
	return 0;
}

/* --- each once, in order ---------------------------------------------------------- */

static int
compare_keys(const struct salvaged *a, const struct salvaged *b)
{
	const DBT key = {.data = (void *)a->bytes, .size = (u_int32_t)a->key_size};

	return users_file_compare(&key, b->bytes, b->key_size);
}

/* Of one key that comes first whose page is in its place. */
static int
compare(const void *a, const void *b)
{
	const struct salvaged *const *x = a, *const *y = b;
	int order = compare_keys(*x, *y);

	return order ? order : (*y)->in_place - (*x)->in_place;
}

static void
drop_doubles(struct salvage *s)
{
	size_t kept = 0;

	if (s->count)
		qsort(s->entries, s->count, sizeof *s->entries, compare);
	for (size_t i = 0; i < s->count; i++)
		if (kept && compare_keys(s->entries[kept - 1], s->entries[i]) == 0)
			free(s->entries[i]);
		else
			s->entries[kept++] = s->entries[i];
	s->count = kept;
}

/* What the table says of itself, which is no record. */
static void
take_own_record(struct salvage *s)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct salvaged *e = s->entries[i];
		const char *value = e->bytes + e->key_size;
		struct record r;

		if (e->key_size != 1 || e->bytes[0] != users_key_table[0])
			continue;
		s->knows_totals = !s->unstamped &&
				  users_file_totals(value, e->value_size, &s->totals) > 0;
		if (record_parse(&r, value, e->value_size, 0, NULL) == 0 &&
			record_number(&r, "generation", 0, &s->generation))
			s->generation = 0;
		record_clear(&r);
	}
}

int
salvage_open(struct salvage *s, const struct users *u, struct reason *why)
{
	*s = (struct salvage){0};
	if (take_pages(s, u, why)) {
		salvage_close(s);
		return -1;
	}
	drop_doubles(s);
	take_own_record(s);
	return 0;
}

void
salvage_close(struct salvage *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->entries[i]);
	free(s->entries);
	*s = (struct salvage){0};
}

/* --- for brimadm ------------------------------------------------------------------ */

struct saving {
	const struct salvage *s;
	const struct users_salvage *to;
	struct totals found; /* with the indexes, as a sound table has them */
	uint64_t unreadable; /* records that are none */
};

static int
give_record(struct saving *g, const struct salvaged *e)
{
	char key[ADDRESS_MAX + 1];
	struct record r = {0};
	int result = 0;

	memcpy(key, e->bytes, e->key_size);
	key[e->key_size] = '\0';
	if (strlen(key) != e->key_size ||
		record_parse(&r, e->bytes + e->key_size, e->value_size, 0, NULL) ||
		record_set_key(&r, key)) {
		g->unreadable++;
	} else {
		totals_add(&g->found, e->bytes, e->key_size, e->bytes + e->key_size,
			e->value_size);
		path_index_count(&g->found, &r);
		login_index_count(&g->found, &r);
		result = g->to->each(g->to->arg, &r);
	}
	record_clear(&r);
	return result;
}

static int
has_key(const struct salvage *s, const char *key, size_t size)
{
	size_t low = 0, end = s->count;

	while (low < end) {
		size_t middle = low + (end - low) / 2;
		const struct salvaged *e = s->entries[middle];
		const DBT at = {.data = (void *)e->bytes, .size = (u_int32_t)e->key_size};
		int order = users_file_compare(&at, key, size);

		if (order == 0)
			return 1;
		if (order < 0)
			low = middle + 1;
		else
			end = middle;
	}
	return 0;
}

/* A path or login whose mailbox is not among the records: by its path alone where it has
 * both, so that it is told once. */
static void
give_path(struct saving *g, const struct salvaged *e)
{
	char owner[ADDRESS_MAX + 1];

	if (login_index_is_entry(e->bytes, e->key_size) || e->value_size == 0 ||
		e->value_size > ADDRESS_MAX ||
		has_key(g->s, e->bytes + e->key_size, e->value_size))
		return;
	memcpy(owner, e->bytes + e->key_size, e->value_size);
	owner[e->value_size] = '\0';
	g->to->lost(g->to->arg, owner);
}

static int
give_all(struct saving *g)
{
	int result = 0;

	for (size_t i = 0; i < g->s->count && !result; i++) {
		const struct salvaged *e = g->s->entries[i];

		if (e->bytes[0] == users_key_first[0])
			give_path(g, e);
		else if (e->bytes[0] != users_key_table[0])
			result = give_record(g, e);
	}
	return result;
}

/* Whether the table, however it looks, has all that it should have. */
static int
is_sound(struct users *u)
{
	return users_file_check(u, NULL) == 0 && btree_verify(u, 0, NULL) == 0;
}

int
users_salvage(const char *path, const struct users_salvage *to,
	struct users_salvaged *result, struct reason *why)
{
	struct users u = {.path = (char *)path};
	struct salvage s;
	struct saving g = {.s = &s, .to = to};
	int ended;

	*result = (struct users_salvaged){0};
	u.fd = users_file_open(AT_FDCWD, path, path, &u.stat, why);
	if (u.fd < 0)
		return -1;
	if (salvage_open(&s, &u, why)) {
		close(u.fd);
		return -1;
	}
	ended = give_all(&g);
	result->found = g.found.records;
	result->sound = is_sound(&u);
	result->knows_missing = result->sound || s.knows_totals;
	if (!result->sound && s.totals.records > g.found.records)
		result->missing = s.totals.records - g.found.records;
	result->complete = result->sound || (s.knows_totals && !g.unreadable &&
						    s.totals.records == g.found.records &&
						    s.totals.sum == g.found.sum);
	salvage_close(&s);
	close(u.fd);
	return ended;
}
