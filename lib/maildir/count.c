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
#include "maildir.h"
#include "store_kind.h"
#include "walk.h"

#define TRIES       3
#define BUFFER_SIZE (256 * 1024)

/* A count under way. */
struct tally {
	struct count_result result;
	struct name_set *seen;   /* in the whole mailbox */
	struct name_set *folder; /* in the folder that is read; SEEN for the Maildir */
	struct name_set *spare;  /* for the FOLDER of all others */
	struct count_part *part; /* if not NULL, what was found in it */
	int thorough;
	char *buffer; /* BUFFER_SIZE bytes of directory entries */
};

/* Whether the file begins like one that is kept compressed, so that its size on disk says
 * nothing about the message's. */
static int
is_compressed(int dir, const char *name)
{
	static const struct {
		const char *bytes;
		size_t length;
	} beginnings[] = {
		{"\x1f\x8b", 2}, /* gzip */
		{"BZh", 3},      /* bzip2 */
		{"\xfd"
		 "7zXZ",
			5},              /* xz */
		{"\x28\xb5\x2f\xfd", 4}, /* zstd */
		{"\x04\x22\x4d\x18", 4}, /* lz4 */
	};
	int fd = openat(
		dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	char head[8] = "";
	ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof head, 0);

	if (fd >= 0)
		close(fd);
	for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++)
		if (n >= (ssize_t)beginnings[i].length &&
			memcmp(head, beginnings[i].bytes, beginnings[i].length) == 0)
			return 1;
	return 0;
}

/* BYTES as the name tells them, where it does; the file has EXCESS more. */
static void
note_message(
	struct count_part *part, int is_new, int named, uint64_t bytes, uint64_t excess)
{
	if (!is_new) {
		part->again++;
		return;
	}
	part->messages++;
	part->bytes = amount_add(part->bytes, bytes);
	if (named) {
		part->named++;
		part->named_bytes = amount_add(part->named_bytes, bytes);
	}
	part->larger += excess > 0;
	part->excess = amount_add(part->excess, excess);
}

/* What the file itself says: 1 with *bytes, 0 if it is no message or has gone, -1. */
static int
measure(struct tally *t, int dir, const char *name, int named, uint64_t *bytes,
	struct reason *why)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT
			       ? 0
			       : reason_errno(why, "can't look at message %.200s", name);
	if (!S_ISREG(st.st_mode))
		return 0;
	if (!named) {
		*bytes = (uint64_t)st.st_size;
	} else if (t->thorough && (uint64_t)st.st_size > *bytes &&
		   !is_compressed(dir, name)) {
		*bytes = (uint64_t)st.st_size;
		t->result.corrected++;
	}
	return 1;
}

/* The name alone decides where it tells a size and the directory tells a regular file. */
static int
count_entry(struct tally *t, int dir, const struct dirent64 *e, struct reason *why)
{
	uint64_t bytes = 0, told;
	int named, is_message = 1, is_new;

	if (e->d_name[0] == '.' || (e->d_type != DT_REG && e->d_type != DT_UNKNOWN))
		return 0;
	named = maildir_size(e->d_name, &bytes);
	told = bytes;
	if (!named || t->thorough || e->d_type == DT_UNKNOWN)
		is_message = measure(t, dir, e->d_name, named, &bytes, why);
	if (is_message <= 0)
		return is_message;
	is_new = name_set_add(t->folder, e->d_name);
	if (is_new < 0 || (t->folder != t->seen && name_set_add(t->seen, e->d_name) < 0))
		return reason_errno(why, "no memory for the names");
	if (t->part)
		note_message(t->part, is_new, named, named ? told : bytes,
			named ? bytes - told : 0);
	if (is_new) {
		t->result.bytes = amount_add(t->result.bytes, bytes);
		t->result.messages++;
	}
	return 0;
}

static int
count_entries(struct tally *t, int dir, struct reason *why)
{
	ssize_t n;

	while ((n = getdents64(dir, t->buffer, BUFFER_SIZE)) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *e = (const void *)(t->buffer + at);

			if (count_entry(t, dir, e, why))
				return -1;
			at += e->d_reclen;
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
count_part(struct tally *t, int folder, const char *part, struct reason *why)
{
	int dir = walk_open_in(folder, part, why), result;

	if (dir < 0)
		return is_missing(errno) ? 0 : -1;
	result = count_entries(t, dir, why);
	close(dir);
	return result;
}

static int
count_folder(struct tally *t, int mailbox, const char *name, struct reason *why)
{
	int folder = walk_open_in(mailbox, name, why), result;

	if (folder < 0)
		return is_missing(errno) ? 0 : -1;
	/* Once in a folder: a message that a user copies into another counts there, too.
	 */
	t->folder = strcmp(name, ".") == 0 ? t->seen : t->spare;
	if (t->folder == t->spare)
		name_set_clear(t->spare);
	result = count_part(t, folder, "new", why) || count_part(t, folder, "cur", why)
			 ? -1
			 : 0;
	close(folder);
	return result;
}

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

/* One try: 0 with the result, exact or not, or -1. */
static int
count_once(struct tally *t, const char *path, const char *ignore, struct reason *why)
{
	struct folders before, after;

	memset(&t->result, 0, sizeof t->result);
	name_set_clear(t->seen);
	if (look_when_settled(&before, path, ignore, why))
		return -1;
	for (size_t i = 0; i < before.count; i++)
		if (count_folder(t, before.dir, before.names[i], why)) {
			folders_clear(&before);
			return -1;
		}
	if (folders_look(&after, path, ignore, why)) {
		folders_clear(&before);
		return -1;
	}
	t->result.stamp = after.stamp;
	t->result.exact = before.young_ns == 0 && before.stamp == after.stamp;
	folders_clear(&before);
	folders_clear(&after);
	return 0;
}

int
count_mailbox(const char *path, const char *ignore, int thorough,
	struct count_result *result, struct name_set **seen, struct reason *why)
{
	struct tally t = {.thorough = thorough};
	enum store_kind kind;
	int done = -1;

	if (store_kind_of(path, &kind, why))
		return -1;
	t.buffer = malloc(BUFFER_SIZE);
	t.seen = name_set_new();
	t.spare = name_set_new();
	if (t.buffer && t.seen && t.spare)
		for (int i = 0; i < TRIES; i++) {
			done = count_once(&t, path, ignore, why);
			if (done < 0 || t.result.exact)
				break;
		}
	else
		reason_errno(why, "can't begin to count");
	free(t.buffer);
	name_set_free(&t.spare);
	*result = t.result;
	if (done == 0)
		*seen = t.seen;
	else
		name_set_free(&t.seen);
	return done;
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
	int folder = walk_open_in(mailbox, name, why), result;

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
	struct tally t = {.thorough = 1};
	int result = -1;

	t.buffer = malloc(BUFFER_SIZE);
	t.seen = t.folder = name_set_new();
	if (t.buffer && t.seen)
		result = tally_folder(&t, mailbox, folder, new, cur, why);
	else
		reason_errno(why, "can't begin to count");
	free(t.buffer);
	name_set_free(&t.seen);
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
