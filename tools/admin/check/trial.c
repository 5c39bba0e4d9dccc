/* The calls, in the order of lda's store: lda/delivery/maildir.c. */
#include "trial.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "io.h"
#include "maildir.h"
#include "privileges.h"
#include "walk.h"

#define BYTES 65536 /* more than a file system keeps beside the inode */

/* What earlier trials left: so many names are read in each directory, so many removed. */
#define ENTRIES_MAX 100000
#define REMOVED_MAX 1000
#define OVER_AFTER  (6 * TRIAL_MS / 1000) /* seconds: no trial takes that long */

struct scratch {
	int maildir, new, tmp, file;
	char name[MAILDIR_NAME_SIZE + 1]; /* with the dot, in either directory */
	char hidden[MAILDIR_NAME_SIZE + 1];
};

const char *
trial_step_name(enum trial_step step)
{
	static const char *const names[] = {
		[TRIAL_PASSED] = "nothing",
		[TRIAL_SILENT] = "its file system does not answer",
		[TRIAL_KILLED] = "the process that tried was killed",
		[TRIAL_BECOME] = "its owner can't be become",
		[TRIAL_OPEN] = "it can't be opened",
		[TRIAL_NEW] = "its new/ can't be opened",
		[TRIAL_TMP] = "its tmp/ can't be opened",
		[TRIAL_MAKE] = "no file can be made",
		[TRIAL_WRITE] = "the file can't be written",
		[TRIAL_SYNC] = "the file can't be synced",
		[TRIAL_NAME] = "the file can't be given its name",
		[TRIAL_SYNC_NEW] = "its new/ can't be synced",
	};

	return names[step];
}

static int
failed(struct trial *t, enum trial_step step)
{
	t->failed = step;
	t->error = errno;
	return -1;
}

/* --- in the child ------------------------------------------------------------------- */

static int
open_folders(struct trial *t, struct scratch *s, const char *path)
{
	struct statfs fs;

	s->maildir = walk_open(path, &t->why);
	if (s->maildir < 0)
		return failed(t, TRIAL_OPEN);
	if (fstatfs(s->maildir, &fs) == 0)
		t->magic = (unsigned long)fs.f_type & 0xffffffff;
	s->new = walk_open_in(s->maildir, "new", NULL);
	return s->new < 0 ? failed(t, TRIAL_NEW) : 0;
}

/* With bytes that no file system stores as a hole. */
static int
fill(struct trial *t, const struct scratch *s)
{
	char bytes[4096];

	memset(bytes, 'x', sizeof bytes);
	for (size_t written = 0; written < BYTES; written += sizeof bytes)
		if (io_write_all(s->file, bytes, sizeof bytes))
			return failed(t, TRIAL_WRITE);
	t->sync_error = fsync(s->file) ? errno : 0;
	return publish_sync_file(s->file) ? failed(t, TRIAL_SYNC) : 0;
}

/* 0, -1, or 1 where the file must be made in tmp/. */
static int
try_nameless(struct trial *t, struct scratch *s)
{
	t->way = PUBLISH_NAMELESS;
	s->file = openat(s->new, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (s->file < 0)
		return publish_may_go_on(errno) ? 1 : failed(t, TRIAL_MAKE);
	if (fill(t, s))
		return -1;
	if (publish_nameless(&(struct publish_goal){s->file, BYTES, s->new, s->name}) ==
		0)
		return 0;
	if (!publish_may_go_on(errno))
		return failed(t, TRIAL_NAME);
	close(s->file);
	return 1;
}

static int
publish_draft(struct trial *t, struct scratch *s, int dir, const char *name)
{
	struct publish_goal goal = {-1, BYTES, s->new, s->name};

	goal.file = s->file = openat(
		dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (s->file < 0)
		return failed(t, TRIAL_MAKE);
	if (fill(t, s))
		return -1;
	return publish_from_tmp(dir, name, &goal, &t->way) ? failed(t, TRIAL_NAME) : 0;
}

static int
try_tmp(struct trial *t, struct scratch *s)
{
	s->tmp = walk_open_in(s->maildir, "tmp", NULL);
	if (s->tmp < 0)
		return failed(t, TRIAL_TMP);
	if (publish_draft(t, s, s->tmp, s->name) == 0)
		return 0;
	if (t->failed != TRIAL_NAME || t->error != EXDEV)
		return -1;
	t->failed = TRIAL_PASSED;
	close(s->file);
	s->hidden[0] = '.';
	if (maildir_make_name(s->hidden + 1, BYTES))
		return failed(t, TRIAL_NAME);
	if (publish_draft(t, s, s->new, s->hidden))
		return -1;
	t->way = PUBLISH_HIDDEN;
	return 0;
}

static int
publish(struct trial *t, struct scratch *s)
{
	int result;

	s->name[0] = '.';
	if (maildir_make_name(s->name + 1, BYTES))
		return failed(t, TRIAL_NAME);
	result = try_nameless(t, s);
	if (result > 0)
		result = try_tmp(t, s);
	if (result)
		return -1;
	t->sync_new_error = fsync(s->new) ? errno : 0;
	return publish_sync(s->new) ? failed(t, TRIAL_SYNC_NEW) : 0;
}

/* Whether the name is gone, or was never there. */
static int
is_gone(int dir, const char *name)
{
	struct stat st;

	if (dir < 0 || (unlinkat(dir, name, 0) && errno == ENOENT))
		return 1;
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) && errno == ENOENT;
}

/* Whether the trial that made the name, which maildir_is_own knows, has ended. */
static int
is_over(const char *name)
{
	const char *id = strchr(name, 'P');

	if (strtoll(name, NULL, 10) < time(NULL) - OVER_AFTER)
		return 1;
	return id && kill((pid_t)strtol(id + 1, NULL, 10), 0) && errno == ESRCH;
}

static int
is_leftover(int dir, const char *name)
{
	struct stat st;

	return name[0] == '.' && maildir_is_own(name + 1, BYTES) && is_over(name + 1) &&
	       fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       st.st_size <= BYTES;
}

static void
remove_leftovers(struct trial *t, int dir)
{
	int fd = dir < 0 ? -1 : openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (int i = 0, found = 0;
		i < ENTRIES_MAX && found < REMOVED_MAX && (e = readdir(d)); i++) {
		if (!is_leftover(fd, e->d_name))
			continue;
		found++;
		if (unlinkat(fd, e->d_name, 0))
			t->is_left = 1;
		else
			t->was_removed++;
	}
	closedir(d);
}

static void
tidy(struct trial *t, const struct scratch *s)
{
	int tmp = walk_open_in(s->maildir, "tmp", NULL);

	remove_leftovers(t, s->new);
	remove_leftovers(t, tmp);
	if (tmp >= 0)
		close(tmp);
}

static void
run(struct trial *t, const struct mailbox *m, int writes)
{
	const struct privileges_user owner = {m->uid, m->gid};
	struct scratch s = {.maildir = -1, .new = -1, .tmp = -1, .file = -1};

	if (privileges_become(&owner, 0, &t->why)) {
		t->failed = TRIAL_BECOME;
		return;
	}
	umask(077);
	if (open_folders(t, &s, m->path) || !writes)
		return;
	tidy(t, &s);
	publish(t, &s);
	t->is_left |= s.name[0] && !(is_gone(s.new, s.name) & is_gone(s.tmp, s.name));
	t->is_left |= s.hidden[0] && !is_gone(s.new, s.hidden);
}

/* --- its parent --------------------------------------------------------------------- */

/* 1 with the whole result, 0 where none came in time, -1 where none will come. */
static int
receive(int fd, struct trial *t, uint64_t end)
{
	struct pollfd answer = {.fd = fd, .events = POLLIN};
	int ready;

	do {
		const uint64_t now = clock_now_ms();

		ready = poll(&answer, 1, now < end ? (int)(end - now) : 0);
	} while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		return 0;
	return read(fd, t, sizeof *t) == sizeof *t ? 1 : -1;
}

/* Closing a file may hang, too, so the child's end is not waited for without end: its
 * status, or -1. */
static int
reap(pid_t child, uint64_t end)
{
	int status;

	for (;;) {
		const pid_t ended = waitpid(child, &status, WNOHANG);

		if (ended == child)
			return status;
		if ((ended < 0 && errno != EINTR) || clock_now_ms() >= end)
			return -1;
		poll(NULL, 0, 1);
	}
}

static void
was_killed(struct trial *t, int status)
{
	t->failed = TRIAL_KILLED;
	if (status >= 0 && WIFSIGNALED(status))
		reason_set(&t->why, "signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	else
		reason_set(&t->why, "it ended without a result");
}

static void
await(struct trial *t, int fd, pid_t child)
{
	const uint64_t end = clock_now_ms() + TRIAL_MS;
	const int got = receive(fd, t, end);

	if (got == 1) {
		reap(child, end);
		return;
	}
	memset(t, 0, sizeof *t);
	if (got == -1) {
		was_killed(t, reap(child, end));
	} else {
		t->failed = TRIAL_SILENT;
		kill(child, SIGKILL);
		waitpid(child, NULL, WNOHANG);
	}
}

/* A result fits into the pipe at once. A child that can't even be killed is left to init.
 */
void
trial_run(struct trial *t, const struct mailbox *m, int writes)
{
	int ends[2];
	pid_t child;

	memset(t, 0, sizeof *t);
	if (pipe2(ends, O_CLOEXEC)) {
		failed(t, TRIAL_BECOME);
		return;
	}
	child = fork();
	if (child == 0) {
		run(t, m, writes);
		_exit(io_write_all(ends[1], (const char *)t, sizeof *t) != 0);
	}
	close(ends[1]);
	if (child < 0)
		failed(t, TRIAL_BECOME);
	else
		await(t, ends[0], child);
	close(ends[0]);
}
