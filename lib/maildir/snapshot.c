/* A snapshot: what was read, less the names that changed, and those looked at again. */
#include "snapshot.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "amount.h"
#include "changes.h"
#include "clock.h"
#include "hash.h"
#include "walk.h"

#define OPEN_MAX   16   /* directories that are held open */
#define BLOCK_SIZE 1024 /* entries */

/* An entry that was read and has not changed since, by a hash of its place and name. */
struct entry {
	uint64_t hash, bytes;
};

struct block {
	STAILQ_ENTRY(block) next;
	size_t used;
	struct entry entries[BLOCK_SIZE];
};

/* A name with an event. */
struct changed {
	TAILQ_ENTRY(changed) link;
	uint64_t hash;
	unsigned place;
	int pending;  /* it is to be looked at */
	int is_there; /* when it was looked at last */
	struct measured found;
	char name[];
};

TAILQ_HEAD(changed_list, changed);

struct snapshot {
	struct changes changes;
	const struct folders *folders;
	struct siphash_key key;
	struct hash entries, changed;
	STAILQ_HEAD(, block) blocks;
	struct changed_list pending, looked_at;
	int *parts; /* their descriptors, -1 where they are not open */
	size_t part_count;
	unsigned open;
	int lost; /* it can't be known any more */
};

static int
entry_has_hash(const void *item, const void *key, size_t length)
{
	return memcmp(&((const struct entry *)item)->hash, key, length) == 0;
}

static int
changed_has_hash(const void *item, const void *key, size_t length)
{
	return memcmp(&((const struct changed *)item)->hash, key, length) == 0;
}

static uint64_t
hash_of(const struct snapshot *s, unsigned place, const char *name)
{
	const struct siphash_key key = {s->key.k0 ^ place, s->key.k1};

	return siphash(&key, name, strlen(name));
}

/* --- watching ---------------------------------------------------------------------- */

struct snapshot *
snapshot_begin(const char *path)
{
	struct snapshot *s = calloc(1, sizeof *s);
	int dir;

	if (!s)
		return NULL;
	STAILQ_INIT(&s->blocks);
	TAILQ_INIT(&s->pending);
	TAILQ_INIT(&s->looked_at);
	dir = walk_open(path, NULL);
	if (changes_open(&s->changes) || dir < 0 ||
		hash_init(&s->entries, entry_has_hash) ||
		hash_init(&s->changed, changed_has_hash) ||
		changes_watch(&s->changes, dir, WATCHED_MAILDIR))
		snapshot_end(&s);
	else
		s->key = s->entries.key; /* as random */
	if (dir >= 0)
		close(dir);
	return s;
}

static void
close_parts(struct snapshot *s)
{
	for (size_t i = 0; s->open && i < s->part_count; i++)
		if (s->parts[i] >= 0) {
			close(s->parts[i]);
			s->parts[i] = -1;
			s->open--;
		}
}

static void
free_changed(struct changed_list *list)
{
	struct changed *c;

	while ((c = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, c, link);
		free(c);
	}
}

void
snapshot_end(struct snapshot **snapshot)
{
	struct snapshot *s = *snapshot;
	struct block *b;

	if (!s)
		return;
	close_parts(s);
	free(s->parts);
	free_changed(&s->pending);
	free_changed(&s->looked_at);
	while ((b = STAILQ_FIRST(&s->blocks))) {
		STAILQ_REMOVE_HEAD(&s->blocks, next);
		free(b);
	}
	hash_free(&s->entries);
	hash_free(&s->changed);
	changes_close(&s->changes);
	free(s);
	*snapshot = NULL;
}

static const char *
part_name(unsigned part)
{
	return part & 1 ? "cur" : "new";
}

/* Those that are missing can't appear without an event of the folder. */
static int
watch_folder(struct snapshot *s, int folder, size_t number)
{
	unsigned place = WATCHED_PARTS + 2 * (unsigned)number;

	const struct folder *f = &s->folders->list[number];

	if (strcmp(f->path, ".") != 0 &&
		changes_watch(&s->changes, folder, WATCHED_FOLDER))
		return -1;
	if (f->ignored)
		return 0;
	for (unsigned part = 0; part < 2; part++) {
		int dir = walk_open_in(folder, part_name(part), NULL), failed;

		if (dir < 0)
			continue;
		failed = changes_watch(&s->changes, dir, place + part);
		close(dir);
		if (failed)
			return -1;
	}
	return 0;
}

int
snapshot_watch(struct snapshot *s, const struct folders *folders)
{
	s->folders = folders;
	s->part_count = 2 * folders->count;
	s->parts = reallocarray(NULL, s->part_count, sizeof *s->parts);
	if (!s->parts || !changes_is_watched(&s->changes, folders->dir, WATCHED_MAILDIR))
		return -1;
	memset(s->parts, -1, s->part_count * sizeof *s->parts);
	for (size_t i = 0; i < folders->count; i++) {
		int folder = walk_open_below(folders->dir, folders->list[i].path, NULL),
		    failed;

		if (folder < 0)
			return -1;
		failed = watch_folder(s, folder, i);
		close(folder);
		if (failed)
			return -1;
	}
	return 0;
}

/* --- reading ----------------------------------------------------------------------- */

static struct entry *
new_entry(struct snapshot *s)
{
	struct block *b = STAILQ_FIRST(&s->blocks);

	if (!b || b->used == BLOCK_SIZE) {
		b = malloc(sizeof *b);
		if (!b)
			return NULL;
		b->used = 0;
		STAILQ_INSERT_HEAD(&s->blocks, b, next);
	}
	return &b->entries[b->used++];
}

void
snapshot_note(struct snapshot *s, size_t folder, int part, const char *name,
	const struct measured *m)
{
	unsigned place = WATCHED_PARTS + 2 * (unsigned)folder + (unsigned)part;
	uint64_t hash = hash_of(s, place, name);
	struct entry *e;

	if (hash_has(&s->changed, &hash, sizeof hash))
		return; /* it is looked at in any case */
	e = new_entry(s);
	if (!e) {
		s->lost = 1;
		return;
	}
	*e = (struct entry){hash, m->bytes};
	if (hash_add(&s->entries, &hash, sizeof hash, e) < 0)
		s->lost = 1;
}

static int
note_change(void *arg, unsigned place, const char *name)
{
	struct snapshot *s = arg;
	uint64_t hash = hash_of(s, place, name);
	struct changed *c = hash_find(&s->changed, &hash, sizeof hash);

	if (c) {
		if (!c->pending) {
			TAILQ_REMOVE(&s->looked_at, c, link);
			TAILQ_INSERT_TAIL(&s->pending, c, link);
		}
		c->pending = 1;
		return 0;
	}
	c = calloc(1, sizeof *c + strlen(name) + 1);
	if (!c || hash_add(&s->changed, &hash, sizeof hash, c) != 1) {
		free(c);
		return -1;
	}
	strcpy(c->name, name);
	c->hash = hash;
	c->place = place;
	c->pending = 1;
	TAILQ_INSERT_TAIL(&s->pending, c, link);
	hash_remove(&s->entries, &hash, sizeof hash);
	return 0;
}

void
snapshot_catch_up(struct snapshot *s)
{
	if (!s->lost && changes_read(&s->changes, note_change, s) == CHANGES_LOST)
		s->lost = 1;
}

/* --- looking at what has changed --------------------------------------------------- */

/* Opens the part, or has it open; it must be the one that is watched. */
static int
open_part(struct snapshot *s, unsigned place)
{
	unsigned i = place - WATCHED_PARTS;
	int folder;

	if (s->parts[i] >= 0)
		return s->parts[i];
	folder = walk_open_below(s->folders->dir, s->folders->list[i / 2].path, NULL);
	if (folder < 0)
		return -1;
	if (s->open == OPEN_MAX)
		close_parts(s);
	s->parts[i] = walk_open_in(folder, part_name(i), NULL);
	close(folder);
	if (s->parts[i] < 0)
		return -1;
	s->open++;
	return changes_is_watched(&s->changes, s->parts[i], place) ? s->parts[i] : -1;
}

static int
look_at(struct snapshot *s, struct changed *c, int by_files)
{
	int dir = open_part(s, c->place);
	char buffer[4096];

	if (dir < 0)
		return -1;
	c->is_there = measure(dir, c->name, DT_UNKNOWN, by_files, &c->found, NULL);
	/* waits for the directory's lock, until the event of what was just seen is
	 * queued */
	if (c->is_there < 0 || getdents64(dir, (void *)buffer, sizeof buffer) < 0)
		return -1;
	TAILQ_REMOVE(&s->pending, c, link);
	TAILQ_INSERT_TAIL(&s->looked_at, c, link);
	c->pending = 0;
	return 0;
}

static void
add_up(struct snapshot *s, struct name_set *seen, struct snapshot_sum *sum)
{
	const struct entry *e;
	const struct changed *c;
	size_t at = 0;

	memset(sum, 0, sizeof *sum);
	while ((e = hash_next(&s->entries, &at))) {
		sum->bytes = amount_add(sum->bytes, e->bytes);
		sum->messages++;
	}
	TAILQ_FOREACH(c, &s->looked_at, link) {
		if (!c->is_there)
			continue;
		if (name_set_add(seen, c->name) < 0)
			s->lost = 1;
		sum->bytes = amount_add(sum->bytes, c->found.bytes);
		sum->messages++;
		sum->by_name += c->found.by_name;
		sum->wrong += !c->found.by_name && c->found.named &&
			      c->found.bytes != c->found.told;
	}
}

int
snapshot_settle(
	struct snapshot *s, int by_files, struct name_set *seen, struct snapshot_sum *sum)
{
	uint64_t end = clock_now_ms() + SNAPSHOT_SETTLE_MS;
	struct changed *c;

	for (;;) {
		snapshot_catch_up(s);
		if (s->lost || TAILQ_EMPTY(&s->pending))
			break;
		while (!s->lost && (c = TAILQ_FIRST(&s->pending)))
			if (look_at(s, c, by_files) || clock_now_ms() >= end)
				s->lost = 1;
	}
	if (!s->lost)
		add_up(s, seen, sum);
	return !s->lost;
}
