/* Counting a mailbox: look at the directories, read them, look again. */
#include "count.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "amount.h"
#include "folders.h"
#include "foreign.h"
#include "measure.h"
#include "snapshot.h"
#include "store_kind.h"
#include "walk.h"

#define TRIES       3
#define BUFFER_SIZE (256 * 1024)
#define WITNESSES   16 /* messages of a directory that tell of its time */
#define CLOCKS      5  /* seconds that two hosts' clocks may be apart */

/* A sum of messages. */
struct sum {
	uint64_t bytes, messages;
};

/* A count under way. What one pass finds is summed up three times: every entry, which is
 * right if nothing moved; each message once in a folder; and, once over all folders,
 * those that the pass before saw, too, which were there in between, whatever moved. */
struct tally {
	int by_files;
	struct sum all, once, sure;
	uint64_t by_name, wrong;
	int ignored;               /* as struct count_result has it */
	struct name_set *seen;     /* in the whole mailbox */
	struct name_set *before;   /* by the pass before; none in the first */
	struct name_set *folder;   /* in the folder that is read, but for the first: */
	int is_first_folder;       /* its names are all that was seen */
	struct snapshot *snapshot; /* NULL where the directories are not watched */
	size_t folder_number;
	int part_number;
	struct count_part *part; /* if not NULL, what was found in it */
	int witnesses;           /* still to be asked in this directory */
	int stood_still;         /* a directory's time did, when mail came, or may */
	char *buffer;            /* BUFFER_SIZE bytes of directory entries */
};

/* --- entries ---------------------------------------------------------------------- */

static void
add(struct sum *s, uint64_t bytes)
{
	s->bytes = amount_add(s->bytes, bytes);
	s->messages++;
}

/* For a person: the name's number, and how far the file is from it. */
static void
note_message(struct count_part *part, int is_new, const struct measured *m)
{
	uint64_t bytes = m->named ? m->told : m->bytes;

	part->again += !is_new;
	part->messages++;
	part->bytes = amount_add(part->bytes, bytes);
	if (!m->named)
		return;
	part->named++;
	part->named_bytes = amount_add(part->named_bytes, m->told);
	part->larger += m->bytes > m->told;
	part->excess = amount_add(part->excess, amount_subtract(m->bytes, m->told));
	part->smaller += m->bytes < m->told;
	part->shortfall = amount_add(part->shortfall, amount_subtract(m->told, m->bytes));
}

static time_t
earlier(time_t a, time_t b)
{
	return a < b ? a : b;
}

/* Where a program or a server keeps the times of directories it may keep none: s3fs (but
 * for update_parent_dir_stat), goofys and gcsfuse. Then a message, by both of its times,
 * since users may set one, is younger than the directory that it came into. */
static void
ask_witness(struct tally *t, int dir, const char *name)
{
	struct stat st, file;

	if (t->witnesses == 0 || t->stood_still)
		return;
	t->witnesses--;
	if (fstat(dir, &st) == 0 && fstatat(dir, name, &file, AT_SYMLINK_NOFOLLOW) == 0)
		t->stood_still = earlier(file.st_mtim.tv_sec, file.st_ctim.tv_sec) >
				 st.st_ctim.tv_sec + CLOCKS;
}

static int
count_entry(struct tally *t, int dir, const struct dirent64 *e, struct reason *why)
{
	struct measured m;
	int is_message = measure(dir, e->d_name, e->d_type, t->by_files, &m, why);
	int is_new, is_first;
	uint64_t hash;

	if (is_message <= 0)
		return is_message;
	ask_witness(t, dir, e->d_name);
	hash = name_set_hash(t->seen, e->d_name);
	is_first = name_set_add_hash(t->seen, hash);
	is_new = t->is_first_folder ? is_first : name_set_add_hash(t->folder, hash);
	if (is_new < 0 || is_first < 0)
		return reason_errno(why, "no memory for the names");
	add(&t->all, m.bytes);
	if (is_new)
		add(&t->once, m.bytes);
	if (is_first && name_set_has_hash(t->before, hash))
		add(&t->sure, m.bytes);
	t->by_name += m.by_name;
	t->wrong += !m.by_name && m.named && m.bytes != m.told;
	if (t->snapshot)
		snapshot_note(
			t->snapshot, t->folder_number, t->part_number, e->d_name, &m);
	if (t->part)
		note_message(t->part, is_new, &m);
	return 0;
}

static int
count_entries(struct tally *t, int dir, struct reason *why)
{
	ssize_t n;

	while ((n = getdents64(dir, (void *)t->buffer, BUFFER_SIZE)) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *e = (const void *)(t->buffer + at);

			if (count_entry(t, dir, e, why))
				return -1;
			at += e->d_reclen;
		}
		if (t->snapshot)
			snapshot_catch_up(t->snapshot);
	}
	/* ENOENT: removed while it was read; the next look will tell */
	return n < 0 && errno != ENOENT ? reason_errno(why, "can't read a folder") : 0;
}

static int
is_missing(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ELOOP;
}

static int
count_part(struct tally *t, int folder, int part, struct reason *why)
{
	int dir = walk_open_in(folder, part ? "cur" : "new", why), result;

	if (dir < 0)
		return is_missing(errno) ? 0 : -1;
	t->part_number = part;
	t->witnesses = foreign_has(dir) ? WITNESSES : 0;
	t->stood_still |= t->witnesses && !foreign_keeps_times(dir);
	result = count_entries(t, dir, why);
	close(dir);
	return result;
}

static int
count_folder(struct tally *t, const struct folders *f, size_t number, struct reason *why)
{
	int folder = walk_open_below(f->dir, f->list[number].path, why), result;

	if (folder < 0)
		return is_missing(errno) ? 0 : -1;
	/* Once in a folder: a message that a user copies into another counts there, too.
	 */
	name_set_clear(t->folder);
	t->folder_number = number;
	result = count_part(t, folder, 0, why) || count_part(t, folder, 1, why) ? -1 : 0;
	t->is_first_folder = 0;
	close(folder);
	return result;
}

/* --- passes ----------------------------------------------------------------------- */

static void
sleep_ns(int64_t ns)
{
	struct timespec time = {ns / 1000000000, ns % 1000000000};

	while (nanosleep(&time, &time) && errno == EINTR)
		;
}

/* A look at directories that have all been left alone for a grain of the clock, or, after
 * waiting for that once, at what there is. */
static int
look_when_settled(
	struct folders *f, const char *path, const char *ignore, struct reason *why)
{
	int64_t wait;

	if (folders_look(f, path, ignore, why))
		return -1;
	if (f->young_ns == 0)
		return 0;
	wait = f->young_ns;
	folders_clear(f);
	sleep_ns(wait);
	return folders_look(f, path, ignore, why);
}

/* Each pass begins anew, but knows the names that the one before saw. */
static void
begin_pass(struct tally *t, int is_first)
{
	struct name_set *seen = t->before;

	if (!is_first) {
		t->before = t->seen;
		t->seen = seen;
	}
	name_set_clear(t->seen);
	t->is_first_folder = 1;
	t->stood_still = 0;
	memset(&t->all, 0, sizeof t->all);
	memset(&t->once, 0, sizeof t->once);
	memset(&t->sure, 0, sizeof t->sure);
	t->by_name = t->wrong = 0;
}

static void
end_pass(const struct tally *t, int exact, const struct sum *total,
	struct count_result *result)
{
	result->exact = exact;
	result->bytes = total->bytes;
	result->messages = total->messages;
	result->sure_bytes = exact ? total->bytes : t->sure.bytes;
	result->sure_messages = exact ? total->messages : t->sure.messages;
	result->by_name = t->by_name;
	result->wrong = t->wrong;
	result->ignored = t->ignored;
}

/* Whether a file that may be a message is in the folder's new or cur. */
static int
part_has_mail(const struct tally *t, int folder, const char *part)
{
	int dir = walk_open_in(folder, part, NULL), has = 0;
	ssize_t n;

	if (dir < 0)
		return 0;
	while (!has && (n = getdents64(dir, (void *)t->buffer, BUFFER_SIZE)) > 0)
		for (ssize_t at = 0; at < n && !has;) {
			const struct dirent64 *e = (const void *)(t->buffer + at);

			has = e->d_name[0] != '.' && e->d_type != DT_DIR;
			at += e->d_reclen;
		}
	close(dir);
	return has;
}

/* Mail that does not count is mail all the same, to those who ask whether any was there.
 */
static int
ignored_have_mail(const struct tally *t, const struct folders *f)
{
	int has = 0;

	for (size_t i = 0; i < f->count && !has; i++) {
		int folder = f->list[i].ignored
				     ? walk_open_below(f->dir, f->list[i].path, NULL)
				     : -1;

		if (folder < 0)
			continue;
		has = part_has_mail(t, folder, "new") || part_has_mail(t, folder, "cur");
		close(folder);
	}
	return has;
}

static int
read_folders(struct tally *t, const struct folders *f, struct reason *why)
{
	for (size_t i = 0; i < f->count; i++)
		if (!f->list[i].ignored && count_folder(t, f, i, why))
			return -1;
	t->ignored = t->all.messages == 0 && ignored_have_mail(t, f);
	return 0;
}

/* A pass with no more than a look before and after it: exact if nothing moved. Where
 * times stand still no later look may find the stamp unmoved. */
static int
pass(struct tally *t, const char *path, const char *ignore, struct count_result *result,
	struct reason *why)
{
	struct folders before, after;
	int exact, failed;

	if (look_when_settled(&before, path, ignore, why))
		return -1;
	failed = read_folders(t, &before, why) || folders_look(&after, path, ignore, why);
	if (!failed) {
		exact = before.young_ns == 0 && before.stamp == after.stamp;
		end_pass(t, exact, exact && !t->stood_still ? &t->all : &t->once, result);
		result->stamp = t->stood_still ? ~after.stamp : after.stamp;
		result->directory = before.directory;
		result->missing = after.missing;
		folders_clear(&after);
	}
	folders_clear(&before);
	return failed ? -1 : 0;
}

/* Whether the directories are others now than those that are watched: one may have come
 * into a folder after that was listed and before it was watched. */
static int
is_another_set(const struct folders *watched, const char *path, const char *ignore)
{
	struct folders now;
	int another = folders_look(&now, path, ignore, NULL) || now.set != watched->set;

	folders_clear(&now);
	return another;
}

/* A pass with watches on all directories before their first look: exact if there was a
 * moment in which no event was pending. What moved meanwhile is known to have moved, so
 * no later look may find the stamp unmoved. */
static int
watched_pass(struct tally *t, const char *path, const char *ignore,
	struct count_result *result, struct reason *why)
{
	struct snapshot_sum sum;
	struct folders f;
	int exact, failed;

	if (folders_look(&f, path, ignore, why))
		return -1;
	if (snapshot_watch(t->snapshot, &f) || is_another_set(&f, path, ignore))
		snapshot_end(&t->snapshot);
	failed = read_folders(t, &f, why);
	exact = !failed && t->snapshot &&
		snapshot_settle(t->snapshot, t->by_files, t->seen, &sum);
	end_pass(t, exact, &t->once, result);
	if (exact) {
		end_pass(t, exact, &(struct sum){sum.bytes, sum.messages}, result);
		result->by_name += sum.by_name;
		result->wrong += sum.wrong;
	}
	result->stamp = ~f.stamp;
	result->directory = f.directory;
	result->missing = f.missing;
	folders_clear(&f);
	return failed ? -1 : 0;
}

static int
count(struct tally *t, const char *path, const char *ignore, struct count_result *result,
	struct reason *why)
{
	int failed = -1;

	for (int i = 0; i < TRIES; i++) {
		begin_pass(t, i == 0);
		if (i > 0)
			t->snapshot = snapshot_begin(path);
		failed = t->snapshot ? watched_pass(t, path, ignore, result, why)
				     : pass(t, path, ignore, result, why);
		snapshot_end(&t->snapshot);
		if (failed || result->exact)
			break;
	}
	return failed;
}

int
count_mailbox(const char *path, const char *ignore, int by_files,
	struct count_result *result, struct name_set **seen, struct reason *why)
{
	struct tally t = {.by_files = by_files};
	enum store_kind kind;
	int failed = -1;

	if (store_kind_of(path, &kind, why))
		return -1;
	t.buffer = malloc(BUFFER_SIZE);
	t.seen = name_set_new(NULL);
	t.before = t.seen ? name_set_new(t.seen) : NULL;
	t.folder = t.seen ? name_set_new(t.seen) : NULL;
	if (t.buffer && t.seen && t.before && t.folder)
		failed = count(&t, path, ignore, result, why);
	else
		reason_errno(why, "can't begin to count");
	free(t.buffer);
	name_set_free(&t.before);
	name_set_free(&t.folder);
	if (failed)
		name_set_free(&t.seen);
	else
		*seen = t.seen;
	return failed;
}

/* --- one folder, part by part ----------------------------------------------------- */

static int
tally_part(struct tally *t, int folder, const char *name, struct count_part *part,
	struct reason *why)
{
	int dir = walk_open_in(folder, name, why), result;
	struct stat st;

	memset(part, 0, sizeof *part);
	if (dir < 0) {
		part->missing = 1;
		return is_missing(errno) ? 0 : -1;
	}
	t->part = part;
	result = count_entries(t, dir, why);
	if (result == 0 && fstat(dir, &st))
		result = reason_errno(why, "can't look at %s", name);
	if (result == 0)
		part->changed = st.st_ctim;
	close(dir);
	return result;
}

static int
tally_folder(struct tally *t, int mailbox, const char *name, struct count_part *new,
	struct count_part *cur, struct reason *why)
{
	int folder = walk_open_below(mailbox, name, why), result;

	*new = *cur = (struct count_part){.missing = 1};
	if (folder < 0)
		return is_missing(errno) ? 0 : -1;
	result = tally_part(t, folder, "new", new, why) ||
				 tally_part(t, folder, "cur", cur, why)
			 ? -1
			 : 0;
	close(folder);
	return result;
}

int
count_parts(int mailbox, const char *folder, struct count_part *new,
	struct count_part *cur, struct reason *why)
{
	struct tally t = {.by_files = 1, .is_first_folder = 1};
	int result = -1;

	t.buffer = malloc(BUFFER_SIZE);
	t.seen = name_set_new(NULL);
	t.before = t.seen ? name_set_new(t.seen) : NULL;
	t.folder = t.seen ? name_set_new(t.seen) : NULL;
	if (t.buffer && t.seen && t.before && t.folder)
		result = tally_folder(&t, mailbox, folder, new, cur, why);
	else
		reason_errno(why, "can't begin to count");
	free(t.buffer);
	name_set_free(&t.seen);
	name_set_free(&t.before);
	name_set_free(&t.folder);
	return result;
}

int
count_stamp(const char *path, const char *ignore, uint64_t *stamp, struct reason *why)
{
	enum store_kind kind;
	struct folders f;

	if (store_kind_of(path, &kind, why) || folders_look(&f, path, ignore, why))
		return -1;
	*stamp = f.stamp;
	folders_clear(&f);
	return 0;
}
