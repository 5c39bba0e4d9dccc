/* check: the settings and the user table. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define READ_SECONDS 60 /* of processor time, to read a table through */
#define NO_SUM       3  /* the table is sound, but does not say how much it has */

/* --- the path to a file ---------------------------------------------------- */

const char *
check_missing_right(const struct stat *st, uid_t uid, gid_t gid)
{
	if (uid == CHECK_EVERYBODY)
		return (st->st_mode & 0111) == 0111 ? NULL : "a+x";
	if (st->st_uid == uid)
		return st->st_mode & S_IXUSR ? NULL : "u+x";
	if (st->st_gid == gid)
		return st->st_mode & S_IXGRP ? NULL : "g+x";
	return st->st_mode & S_IXOTH ? NULL : "o+x";
}

/* The command that gives the right; a user can give it on its own directory alone. */
static const char *
give_right(struct check *c, const char *right, const char *path, const struct stat *st,
	uid_t uid, gid_t gid)
{
	const char *command =
		check_text(c, "chmod %s %s", right, check_bare_path(c, path));

	if (st->st_uid != uid && check_hold(path, uid) != HOLD_ROOT)
		return check_look_at(c, path);
	return check_user_command(c, path, uid, gid, command);
}

int
check_reach(struct check *c, enum check_kind kind, const char *subject, const char *path,
	uid_t uid, gid_t gid)
{
	char *directory = strdup(path);
	const char *right = NULL;
	struct stat st;

	if (!directory) {
		c->failed = 1;
		return 0;
	}
	for (char *p = strchr(directory + 1, '/'); p && p[1]; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (stat(directory, &st) == 0 && S_ISDIR(st.st_mode))
			right = check_missing_right(&st, uid, gid);
		if (right)
			break;
		*p = '/';
	}
	if (right)
		check_found(c, kind, subject,
			give_right(c, right, directory, &st, uid, gid),
			"%s can't be searched by %s (mode %04o)", directory,
			uid == CHECK_EVERYBODY ? "everybody" : "the recipient",
			(unsigned)st.st_mode & 07777);
	free(directory);
	return right != NULL;
}

/* --- settings -------------------------------------------------------------- */

/* The number of the line that the reason names; 0 where it names none. */
static int
line_of(const char *text, const char *file)
{
	int line = 0;

	if (strncmp(text, file, strlen(file)) == 0 &&
		sscanf(text + strlen(file), " line %9d", &line) == 1)
		return line;
	return 0;
}

/* A setting is taken out with what continues it. */
static const char *
take_out(struct check *c, int line)
{
	const char *file = check_quote(c, check_conf_file(c));
	int last = check_last_line(c, line);

	if (last > line)
		return check_text(c, "sed -i '%d,%ds/^/#/' %s", line, last, file);
	return check_text(c, "sed -i '%ds/^/#/' %s", line, file);
}

/* A % that begins no %XX is written %25, in the setting and in what continues it. */
static const char *
repair_list(struct check *c, int line)
{
	return check_text(c,
		"sed -i -E '%d,%d{/^[ \\t]*#/b;s/%%/%%25/g;"
		"s/%%25([0-9A-Fa-f]{2})/%%\\1/g;s/%%00/%%2500/g}' %s",
		line, check_last_line(c, line), check_quote(c, check_conf_file(c)));
}

/* A fault of form is repaired. Of two lines that set one name the earlier is taken out:
 * it was without effect when the later one was taken, too. Any other setting is taken
 * out. */
static const char *
repair_line(struct check *c, int line, const char *fault)
{
	static const struct {
		const char *fault, *edit;
	} repairs[] = {
		{"blank out", "s/^[ \\t]*//"},
		{"write # for ;", "s/;/#/"},
		{"write = for the colon", "s/:/=/"},
		{"as a line that begins with #", "s/[ \\t][ \\t]*;/\\n#/"},
		{"a CR is in it", "s/\\r/\\n/g"},
		{"a NUL byte", "s/\\x00//g"},
		{"byte order mark", "s/^\\xEF\\xBB\\xBF//"},
	};
	const char *file = check_quote(c, check_conf_file(c));
	const char *earlier = strstr(fault, "is set already");

	for (size_t i = 0; i < sizeof repairs / sizeof *repairs; i++)
		if (strstr(fault, repairs[i].fault))
			return check_text(
				c, "sed -i '%d%s' %s", line, repairs[i].edit, file);
	if (strstr(fault, "has no place in a list"))
		return repair_list(c, line);
	if (earlier)
		sscanf(earlier, "is set already in line %9d", &line);
	return take_out(c, line);
}

/* check_settings_file says what is wrong with its owner or mode. */
static int
is_for_others(const char *file)
{
	struct stat st;

	return stat(file, &st) == 0 && S_ISREG(st.st_mode) &&
	       conf_check_owner(file, &st, NULL) == -1;
}

void
check_settings(struct check *c)
{
	const char *file = check_conf_file(c);
	struct reason why;
	int line;

	c->has_conf = conf_load(&c->a->conf, c->a->conf_file, &why) == 0;
	if (c->has_conf || is_for_others(file))
		return;
	line = line_of(why.text, file);
	check_found(c, CHECK_SETTINGS, file,
		line ? repair_line(c, line, why.text + strlen(file))
		     : "Repair what it says; brimadm(8) config prints all settings.",
		"%s", why.text);
}

/* The settings may be closed where the table is. */
static mode_t
wanted_mode(const struct check *c)
{
	return c->has_conf && !(c->a->conf.users_mode & S_IROTH)
		       ? (mode_t)c->a->conf.users_mode & 0440
		       : 0444;
}

void
check_settings_file(struct check *c)
{
	const char *file = check_conf_file(c), *quoted;
	mode_t wanted = wanted_mode(c);
	struct stat st;

	if (stat(file, &st))
		return;
	quoted = check_quote(c, file);
	if (st.st_uid != 0)
		check_found(c, CHECK_SETTINGS_MODE, file,
			check_text(c, "chown root %s", quoted),
			"it belongs to uid %u, not to root", (unsigned)st.st_uid);
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		check_found(c, CHECK_SETTINGS_MODE, file,
			check_text(c, "chmod go-w %s", quoted), "its mode is %04o",
			(unsigned)st.st_mode & 07777);
	else if ((st.st_mode & wanted) != wanted)
		check_found(c, CHECK_SETTINGS_MODE, file,
			check_text(c, "chmod %s %s", wanted & S_IROTH ? "a+r" : "ug+r",
				quoted),
			"its mode is %04o", (unsigned)st.st_mode & 07777);
	else if (wanted & S_IROTH)
		check_reach(c, CHECK_SETTINGS_MODE, file, file, CHECK_EVERYBODY, 0);
}

/* --- the table ------------------------------------------------------------- */

/* Reads the table through in a process that may be killed: a damaged page can make libdb
 * spin or crash. */
static void
read_as_child(const char *path, int to)
{
	const struct rlimit time = {READ_SECONDS, READ_SECONDS}, none = {0, 0};
	struct reason why;
	struct users *u;
	int bad;

	setrlimit(RLIMIT_CPU, &time);
	setrlimit(RLIMIT_CORE, &none);
	u = users_open(path, &why);
	bad = !u || users_read_through(u, &why);
	if (bad && write(to, why.text, strlen(why.text)) < 0)
		bad = 2;
	_exit(bad ? bad : users_sum(u) == USERS_SUM_RIGHT ? 0 : NO_SUM);
}

/* 0, NO_SUM, or -1 with the reason. */
static int
read_through(const char *path, struct reason *why)
{
	int ends[2], status = -1;
	ssize_t n;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		return reason_errno(why, "pipe");
	child = fork();
	if (child == 0)
		read_as_child(path, ends[1]);
	close(ends[1]);
	n = read(ends[0], why->text, sizeof why->text - 1);
	why->text[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (child > 0 &&
		(status == 0 || (WIFEXITED(status) && WEXITSTATUS(status) == NO_SUM)))
		return status ? NO_SUM : 0;
	return n > 0 ? -1
		     : reason_set(why, "%s: damaged: reading it through ends in a fault",
			       path);
}

static void
check_table_mode(struct check *c, const char *path, const struct stat *st)
{
	mode_t mode = (mode_t)c->a->conf.users_mode;
	const char *quoted = check_quote(c, path);

	if (st->st_uid != 0)
		check_found(c, CHECK_TABLE_OWNER, path,
			check_text(c, "chown root %s", quoted),
			"it belongs to uid %u, not to root", (unsigned)st->st_uid);
	else if ((st->st_mode & 0777) != mode)
		check_found(c, CHECK_TABLE_MODE, path,
			check_text(c, "chmod %04o %s", (unsigned)mode, quoted),
			"its mode is %04o, not %04o (users_mode)",
			(unsigned)st->st_mode & 07777, (unsigned)mode);
}

static void
check_table_directory(struct check *c, const char *path)
{
	char *directory = strdup(path);
	const char *quoted;
	struct stat st;

	if (!directory) {
		c->failed = 1;
		return;
	}
	*strrchr(directory, '/') = '\0';
	quoted = check_quote(c, directory);
	if (directory[0] && stat(directory, &st) == 0 &&
		(st.st_uid != 0 || st.st_mode & (S_IWGRP | S_IWOTH)))
		check_found(c, CHECK_TABLE_DIRECTORY, directory,
			check_text(c, "chown root %s && chmod go-w %s", quoted, quoted),
			"it belongs to uid %u, with mode %04o", (unsigned)st.st_uid,
			(unsigned)st.st_mode & 07777);
	free(directory);
}

/* What is wrong with its contents; opens it where nothing is. */
static void
open_table(struct check *c, const char *path)
{
	struct reason why;
	int has, sound = read_through(path, &why);

	if (sound < 0 || !(c->users = users_open_to_stay(path, &why))) {
		check_found(c, CHECK_TABLE_DAMAGED, path,
			check_text(c,
				"Load the last dump: %s load --replace FILE. What can be "
				"saved: %s dump --salvage.",
				check_brimadm(c), check_brimadm(c)),
			"%s", why.text);
		return;
	}
	if (sound == NO_SUM)
		check_found(c, CHECK_TABLE_SUM, path,
			"The next change by this brimadm writes them.",
			"an older brimadm has written it, without the number and the sum "
			"of its records");
	has = users_has_records(c->users, &why);
	if (has == 0)
		check_found(c, CHECK_TABLE_EMPTY, path,
			check_text(c, "%s import-passwd", check_brimadm(c)),
			"it has no record");
}

void
check_table(struct check *c)
{
	const char *path = c->a->conf.users_db;
	struct stat st = {0};

	if (lstat(path, &st) && (errno == ENOENT || errno == ENOTDIR)) {
		check_found(c, CHECK_TABLE_MISSING, path,
			check_text(c, "%s init", check_brimadm(c)), "there is no table");
		return;
	}
	if (!S_ISREG(st.st_mode)) {
		check_found(c, CHECK_TABLE_DAMAGED, path,
			"Move it away, and load the last dump.", "it is not a file");
		return;
	}
	check_table_mode(c, path, &st);
	check_table_directory(c, path);
	if (c->a->conf.users_mode & S_IROTH)
		check_reach(c, CHECK_TABLE_REACH, path, path, CHECK_EVERYBODY, 0);
	if (st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH)))
		open_table(c, path);
}
