/* main.cf, master.cf, brim.conf: staged, kept, put in place, taken back. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "content.h"

#define BEFORE     POSTFIX_FILES_BEFORE
#define AFTER      POSTFIX_FILES_AFTER
#define FOR        POSTFIX_FILES_FOR
#define UNDOING    POSTFIX_FILES_UNDOING
#define NAME_BYTES CONTENT_NAME_BYTES
#define SET_BACK   5 /* seconds */

static const char *const names[] = {"main.cf", "master.cf"};

#define NAMES (sizeof names / sizeof *names)

/* --- staging ------------------------------------------------------------------------ */

static int
copy_staged(
	struct postfix_place *p, const char *name, const char *suffix, struct reason *why)
{
	char buf[NAME_BYTES];
	struct content c;
	int found = content_read(p->fd, content_name(name, suffix, buf), &c, why), result;

	if (found == 0 && suffix[0]) /* only the other file has a copy */
		found = content_read(p->fd, name, &c, why);
	if (found == 0)
		return reason_set(why, "there is no %s/%s", p->folder, name);
	if (found < 0)
		return -1;
	if (c.length && c.bytes[c.length - 1] != '\n')
		c.bytes[c.length++] = '\n';
	result = content_write(p->staged_fd, name, &c, why);
	free(c.bytes);
	return result;
}

/* Removes the staged folder, with all that may be in it: what a crash left, too. */
static void
unstage(struct postfix_place *p)
{
	static const char *const suffixes[] = {"", BEFORE, AFTER, FOR, ".tmp"};
	char buf[NAME_BYTES];

	if (p->staged_fd < 0)
		p->staged_fd =
			open(p->staged, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (p->staged_fd < 0)
		return;
	for (size_t i = 0; i < p->count; i++)
		for (size_t s = 0; s < sizeof suffixes / sizeof *suffixes; s++)
			unlinkat(p->staged_fd,
				content_name(p->names[i], suffixes[s], buf), 0);
	close(p->staged_fd);
	p->staged_fd = -1;
	rmdir(p->staged);
}

static int
make_staged(struct postfix_place *p, struct reason *why)
{
	unstage(p);
	if (mkdir(p->staged, 0700))
		return reason_errno(why, "%s can't be made", p->staged);
	p->staged_fd = open(p->staged, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return p->staged_fd < 0 ? reason_errno(why, "%s can't be opened", p->staged) : 0;
}

int
postfix_files_stage(struct postfix_files *f, const char *suffix, struct reason *why)
{
	if (make_staged(&f->postfix, why))
		return -1;
	for (size_t i = 0; i < NAMES; i++)
		if (copy_staged(&f->postfix, names[i], suffix, why))
			return -1;
	return 0;
}

char *
postfix_files_read_conf(
	const struct postfix_files *f, const char *suffix, struct reason *why)
{
	char buf[NAME_BYTES];
	struct content c;
	int found = content_read(
		f->brim.fd, content_name(f->conf_name, suffix, buf), &c, why);

	if (found == 0 && suffix[0]) /* it is taken back already */
		found = content_read(f->brim.fd, f->conf_name, &c, why);
	if (found < 0)
		return NULL;
	if (found == 0)
		return strdup("");
	if (memchr(c.bytes, '\0', c.length)) {
		reason_set(why, "%s has a NUL byte in it", f->conf);
		free(c.bytes);
		return NULL;
	}
	c.bytes[c.length] = '\0'; /* there is a byte more than is needed */
	return c.bytes;
}

int
postfix_files_stage_conf(
	struct postfix_files *f, const char *text, size_t length, struct reason *why)
{
	struct content c = {.bytes = (char *)text, .length = length};

	c.st.st_mode = 0644;
	return make_staged(&f->brim, why) ||
			       content_write(f->brim.staged_fd, f->conf_name, &c, why)
		       ? -1
		       : 0;
}

void
postfix_files_set_back(const struct postfix_files *f)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};

	clock_gettime(CLOCK_REALTIME, &times[1]);
	times[1].tv_sec -= SET_BACK;
	utimensat(f->postfix.staged_fd, names[0], times, 0); /* else postconf waits */
}

/* --- putting in place ------------------------------------------------------ */

static int
move(int from, const char *name, int to, const char *new_name, struct reason *why)
{
	if (renameat(from, name, to, new_name))
		return reason_errno(why, "%s can't be renamed", name);
	return 0;
}

static int
sync_folder(const struct postfix_place *p, struct reason *why)
{
	return fsync(p->fd) ? reason_errno(why, "%s can't be synced", p->folder) : 0;
}

/* Both copies of one file, in the staged folder: its bytes now and those to come, and
 * these with the owner, mode and bytes on disk that postconf does not see to. */
static int
make_copies(const struct postfix_place *p, const char *name, struct reason *why)
{
	struct content now, next = {0}, none = {.bytes = (char *)""};
	char buf[NAME_BYTES];
	int result = -1, found = content_read(p->fd, name, &now, why);

	if (found >= 0 && content_read(p->staged_fd, name, &next, why) > 0) {
		if (found)
			next.st = now.st;
		clock_gettime(CLOCK_REALTIME, &next.st.st_mtim);
		result = content_write(p->staged_fd, content_name(name, BEFORE, buf),
				 found ? &now : &none, why) ||
					 content_write(p->staged_fd,
						 content_name(name, AFTER, buf), &next,
						 why) ||
					 content_write(p->staged_fd, name, &next, why)
				 ? -1
				 : 0;
	}
	free(now.bytes);
	free(next.bytes);
	return result;
}

static int
move_all(const struct postfix_place *p, const char *suffix, struct reason *why)
{
	char buf[NAME_BYTES];

	if (p->staged_fd < 0)
		return 0;
	for (size_t i = 0; i < p->count; i++) {
		const char *name = content_name(p->names[i], suffix, buf);

		if (move(p->staged_fd, name, p->fd, name, why))
			return -1;
	}
	return sync_folder(p, why);
}

/* Brim's file first: what Brim knows and Postfix does not hurts nobody. */
static int
move_both(const struct postfix_files *f, const char *suffix, struct reason *why)
{
	return move_all(&f->brim, suffix, why) || move_all(&f->postfix, suffix, why) ? -1
										     : 0;
}

static int
copy_place(const struct postfix_place *p, struct reason *why)
{
	for (size_t i = 0; p->staged_fd >= 0 && i < p->count; i++)
		if (make_copies(p, p->names[i], why))
			return -1;
	return 0;
}

/* Notes beside brim.conf for whom it is changed. */
static int
note_folder(const struct postfix_files *f, struct reason *why)
{
	char *folder = realpath(f->postfix.folder, NULL), buf[NAME_BYTES];
	struct content c = {.bytes = folder, .length = folder ? strlen(folder) : 0};
	int result;

	c.st.st_mode = 0644;
	result = folder ? content_write(f->brim.staged_fd,
				  content_name(f->conf_name, FOR, buf), &c, why)
			: reason_errno(why, "%s can't be found", f->postfix.folder);
	free(folder);
	return result ? -1 : move_all(&f->brim, FOR, why);
}

int
postfix_files_commit(const struct postfix_files *f, struct reason *why)
{
	if (copy_place(&f->brim, why) || copy_place(&f->postfix, why) ||
		(f->brim.staged_fd >= 0 && note_folder(f, why)))
		return -1;
	/* each step is on disk before the next: what to compare with, what to take back,
	 * the change */
	return move_both(f, AFTER, why) || move_both(f, BEFORE, why) ||
			       move_both(f, "", why)
		       ? -1
		       : 0;
}

/* The kept file in the place of what was made of it, or nothing where nothing was. */
static int
take_back(const struct postfix_place *p, const char *name, struct reason *why)
{
	char buf[NAME_BYTES];
	const char *kept = content_name(name, BEFORE, buf);
	struct content before = {0};

	if (fstatat(p->fd, kept, &before.st, AT_SYMLINK_NOFOLLOW))
		return 0;
	before.bytes = before.st.st_size ? NULL : (char *)"";
	if (!content_was_missing(&before))
		return move(p->fd, kept, p->fd, name, why);
	if (unlinkat(p->fd, name, 0) && errno != ENOENT)
		return reason_errno(why, "%s can't be removed", name);
	return unlinkat(p->fd, kept, 0) ? reason_errno(why, "%s can't be removed", kept)
					: 0;
}

static int
undo_place(const struct postfix_place *p, struct reason *why)
{
	char buf[NAME_BYTES];

	for (size_t i = 0; i < p->count; i++)
		if (take_back(p, p->names[i], why))
			return -1;
	if (p->count == 0)
		return 0;
	if (sync_folder(p, why))
		return -1;
	for (size_t i = 0; i < p->count; i++) {
		/* by what is there last, it is found again */
		unlinkat(p->fd, content_name(p->names[i], FOR, buf), 0);
		unlinkat(p->fd, content_name(p->names[i], AFTER, buf), 0);
	}
	return sync_folder(p, why);
}

int
postfix_files_undo(const struct postfix_files *f, struct reason *why)
{
	const struct content note = {.bytes = (char *)"", .st.st_mode = 0644};

	if (content_write(f->postfix.fd, UNDOING, &note, why) ||
		sync_folder(&f->postfix, why) || undo_place(&f->postfix, why) ||
		undo_place(&f->brim, why))
		return -1;
	unlinkat(f->postfix.fd, UNDOING, 0);
	return sync_folder(&f->postfix, why);
}

/* --- its life -------------------------------------------------------------- */

static int
lock(const struct postfix_place *p, struct reason *why)
{
	if (flock(p->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK
		       ? reason_set(why, "another brimadm is at work in %s", p->folder)
		       : reason_errno(why, "%s can't be locked", p->folder);
}

static void
close_place(struct postfix_place *p)
{
	if (p->fd >= 0) {
		unstage(p);
		close(p->fd);
	}
	free(p->folder);
	free(p->staged);
	memset(p, 0, sizeof *p);
	p->fd = p->staged_fd = -1;
}

/* Without the lock: whoever calls this has it, or takes it. */
static int
open_place(struct postfix_place *p, const char *folder, const char *staged,
	struct reason *why)
{
	p->folder = strdup(folder);
	if (!p->folder || asprintf(&p->staged, "%s/%s", folder, staged) < 0) {
		p->staged = NULL;
		return reason_set(why, "no memory");
	}
	p->fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return p->fd < 0 ? reason_errno(why, "%s can't be opened", folder) : 0;
}

int
postfix_files_open(struct postfix_files *f, const char *folder, struct reason *why)
{
	memset(f, 0, sizeof *f);
	f->postfix.fd = f->postfix.staged_fd = f->brim.fd = f->brim.staged_fd = -1;
	if (open_place(&f->postfix, folder, "brim-staged", why) == 0 &&
		lock(&f->postfix, why) == 0) {
		f->postfix.names = names;
		f->postfix.count = NAMES;
		return 0;
	}
	close_place(&f->postfix);
	return -1;
}

/* The file itself, whatever links lead to it; its folder is made if need be. */
static char *
find_file(const char *conf, struct reason *why)
{
	char *path = realpath(conf, NULL), *slash;

	if (path)
		return path;
	path = errno == ENOENT ? strdup(conf) : NULL;
	slash = path ? strrchr(path, '/') : NULL;
	if (!slash || slash == path) {
		reason_errno(why, "%s can't be found", conf);
		free(path);
		return NULL;
	}
	*slash = '\0';
	mkdir(path, 0755); /* if it fails, it is opened in vain */
	*slash = '/';
	return path;
}

int
postfix_files_open_conf(struct postfix_files *f, const char *conf, struct reason *why)
{
	char *slash;
	struct stat a, b;
	int result;

	if (f->conf)
		return 0;
	f->conf = find_file(conf, why);
	if (!f->conf)
		return -1;
	slash = strrchr(f->conf, '/');
	*slash = '\0';
	result = open_place(&f->brim, f->conf, "brim-conf-staged", why);
	*slash = '/';
	f->conf_name = slash + 1;
	if (result || fstat(f->brim.fd, &a) || fstat(f->postfix.fd, &b))
		return -1;
	if ((a.st_dev != b.st_dev || a.st_ino != b.st_ino) && lock(&f->brim, why))
		return -1;
	f->brim.names = &f->conf_name;
	f->brim.count = 1;
	return 0;
}

/* Whether brim.conf was changed for this folder, as far as is known: an earlier brimadm
 * noted none. */
static int
is_for_folder(const struct postfix_files *f, const char *conf)
{
	char *path = NULL, *folder = realpath(f->postfix.folder, NULL);
	struct content c = {0};
	int same_folder = 1;

	if (folder && asprintf(&path, "%s" FOR, conf) >= 0 &&
		content_read(AT_FDCWD, path, &c, NULL) > 0)
		same_folder = c.bytes && c.length == strlen(folder) &&
			      memcmp(c.bytes, folder, c.length) == 0;
	free(c.bytes);
	free(path);
	free(folder);
	return same_folder;
}

int
postfix_files_find_conf(struct postfix_files *f, const char *conf, struct reason *why)
{
	char *path = realpath(conf, NULL), *kept = NULL;
	int there = asprintf(&kept, "%s" AFTER, path ? path : conf) >= 0 &&
		    access(kept, F_OK) == 0 && is_for_folder(f, path ? path : conf);

	free(path);
	free(kept);
	return there ? postfix_files_open_conf(f, conf, why) : 0;
}

void
postfix_files_close(struct postfix_files *f)
{
	close_place(&f->postfix);
	close_place(&f->brim);
	free(f->conf);
	memset(f, 0, sizeof *f);
	f->postfix.fd = f->brim.fd = -1;
}
