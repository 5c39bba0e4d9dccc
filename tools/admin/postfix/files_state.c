/*
 * What there is to take back, by the files and their copies. Applying and undoing may
 * both have been cut short: each step leaves other copies missing than those that
 * somebody has removed.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "content.h"
#include "files.h"

#define FILES_MAX 3

/* A file and its copies; no bytes where there is none. */
struct copies {
	const struct postfix_place *place;
	const char *name;
	struct content now, before, after;
};

/* All that were changed, in the order in which they are. */
struct all {
	struct copies file[FILES_MAX];
	size_t count;
};

/* --- reading ------------------------------------------------------------------------ */

static void
free_last(struct all *a)
{
	struct copies *c = &a->file[--a->count];

	free(c->now.bytes);
	free(c->before.bytes);
	free(c->after.bytes);
}

static int
read_copies(struct all *a, const struct postfix_place *p, const char *name,
	struct reason *why)
{
	struct copies *c = &a->file[a->count++];
	char buf[CONTENT_NAME_BYTES];

	memset(c, 0, sizeof *c);
	c->place = p;
	c->name = name;
	return content_read(p->fd, name, &c->now, why) < 0 ||
			       content_read(p->fd,
				       content_name(name, POSTFIX_FILES_BEFORE, buf),
				       &c->before, why) < 0 ||
			       content_read(p->fd,
				       content_name(name, POSTFIX_FILES_AFTER, buf),
				       &c->after, why) < 0
		       ? -1
		       : 0;
}

/* Without brim.conf where it is not what was made of it, and nothing is kept: it is taken
 * back already, or was not changed. */
static int
read_all(struct all *a, const struct postfix_files *f, struct reason *why)
{
	for (size_t i = 0; i < f->brim.count; i++) {
		const struct copies *c = &a->file[a->count];

		if (read_copies(a, &f->brim, f->brim.names[i], why))
			return -1;
		if (!c->before.bytes && !content_same(&c->now, &c->after))
			free_last(a);
	}
	for (size_t i = 0; i < f->postfix.count; i++)
		if (read_copies(a, &f->postfix, f->postfix.names[i], why))
			return -1;
	return 0;
}

/* --- judging ------------------------------------------------------------------------ */

static int
is_as_before(const struct copies *c)
{
	return content_same(&c->now, &c->before) ||
	       (!c->now.bytes && content_was_missing(&c->before));
}

static int
is_older(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec ||
	       (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* The old files were being kept, one after the other, and none was changed yet. */
static int
was_applying(const struct all *a)
{
	int missing = 0, is_known = 0;

	for (size_t i = 0; i < a->count; i++) {
		const struct copies *c = &a->file[i];

		if (c->before.bytes && (missing || !is_as_before(c)))
			return 0;
		if (!c->before.bytes && !c->after.bytes)
			return 0;
		missing |= !c->before.bytes;
		is_known |=
			!content_same(c->before.bytes ? &c->before : &c->now, &c->after);
	}
	return is_known;
}

/* The old files were being put back, by an older brimadm, which did not note that: with
 * their old times. */
static int
was_undoing(const struct all *a)
{
	int is_known = 0;

	for (size_t i = 0; i < a->count; i++) {
		const struct copies *c = &a->file[i];

		if (c->before.bytes)
			continue;
		if (!c->after.bytes ||
			!is_older(&c->now.st.st_mtim, &c->after.st.st_mtim))
			return 0;
		is_known |= !content_same(&c->now, &c->after);
	}
	return is_known;
}

static size_t
count_kept(const struct all *a)
{
	size_t count = 0;

	for (size_t i = 0; i < a->count; i++)
		count += a->file[i].before.bytes != NULL;
	return count;
}

/* A file that was changed and of which nothing is kept; NULL without one. */
static const struct copies *
find_lost(const struct all *a)
{
	const struct copies *lost = NULL;
	int all_after = 1;

	for (size_t i = 0; i < a->count; i++) {
		const struct copies *c = &a->file[i];

		all_after &= content_same(&c->now, &c->after);
		if (!c->before.bytes &&
			(!lost || !content_same(&lost->now, &lost->after)))
			lost = c;
	}
	if (count_kept(a) == 0)
		return all_after ? lost : NULL;
	return lost && !was_applying(a) && !was_undoing(a) ? lost : NULL;
}

static int
is_edited(const struct all *a)
{
	for (size_t i = 0; i < a->count; i++) {
		const struct copies *c = &a->file[i];

		if (c->before.bytes && !is_as_before(c) &&
			!content_same(&c->now, &c->after))
			return 1;
	}
	return 0;
}

int
postfix_files_state(
	const struct postfix_files *f, enum postfix_state *state, struct reason *why)
{
	const int is_undoing =
		faccessat(f->postfix.fd, POSTFIX_FILES_UNDOING, F_OK, 0) == 0;
	const struct copies *lost = NULL;
	struct all a = {.count = 0};
	int result = read_all(&a, f, why);

	if (result == 0 && !is_undoing)
		lost = find_lost(&a);
	if (lost) {
		*state = POSTFIX_LOST;
		reason_set(why, "%s/%s" POSTFIX_FILES_BEFORE, lost->place->folder,
			lost->name);
	} else if (is_edited(&a)) {
		*state = POSTFIX_EDITED;
	} else {
		*state = is_undoing || count_kept(&a) ? POSTFIX_APPLIED : POSTFIX_FREE;
	}
	while (a.count)
		free_last(&a);
	return result;
}
