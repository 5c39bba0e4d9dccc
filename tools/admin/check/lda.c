/*
 * check: the program that Postfix runs, and, of lda-virtual, that it gets the
 * capabilities of its file: its mode, its file system, the units of the MTA.
 */
#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "check.h"

#define VIRTUAL_MODE 0750
#define DROP_IN      "/etc/systemd/system/%s.d/zz-brim.conf"
#define BIT(cap)     (1U << (cap))

int
check_is_virtual(const char *path)
{
	const char *base = strrchr(path, '/');

	return base && strcmp(base, "/lda-virtual") == 0;
}

/* --- the file -------------------------------------------------------------- */

/* Whether it has just the capabilities that it needs, and they are effective. */
static int
has_capabilities(const char *path)
{
	struct vfs_cap_data data = {0};
	ssize_t size = getxattr(path, "security.capability", &data, sizeof data);

	return size == (ssize_t)XATTR_CAPS_SZ_2 &&
	       (le32toh(data.magic_etc) & VFS_CAP_FLAGS_EFFECTIVE) &&
	       le32toh(data.data[0].permitted) == (BIT(CAP_SETUID) | BIT(CAP_SETGID)) &&
	       data.data[0].inheritable == 0 && data.data[1].permitted == 0 &&
	       data.data[1].inheritable == 0;
}

static void
check_capabilities(
	struct check *c, const char *path, const struct stat *st, const char *user)
{
	const struct passwd *p = getpwnam(user);
	const char *quoted = check_quote(c, path);
	const struct group *g = p ? getgrgid(p->pw_gid) : NULL;

	if (!g ||
		(st->st_uid == 0 && st->st_gid == p->pw_gid &&
			(st->st_mode & 07777) == VIRTUAL_MODE && has_capabilities(path)))
		return;
	/* in this order: chown takes the capabilities away */
	check_found(c, CHECK_LDA_CAPABILITIES, path,
		check_text(c,
			"chown root:%s %s && chmod %04o %s && "
			"setcap cap_setuid,cap_setgid=ep %s",
			check_quote(c, g->gr_name), quoted, VIRTUAL_MODE, quoted, quoted),
		has_capabilities(path)
			? "its owner and mode are %u:%u %04o"
			: "it has not the file capabilities cap_setuid,cap_setgid=ep "
			  "(owner and mode %u:%u %04o)",
		(unsigned)st->st_uid, (unsigned)st->st_gid,
		(unsigned)st->st_mode & 07777);
}

static void
check_nosuid(struct check *c, const char *path)
{
	struct statvfs fs;

	if (statvfs(path, &fs) || !(fs.f_flag & ST_NOSUID))
		return;
	check_found(c, CHECK_LDA_NOSUID, path,
		check_text(c, "mount -o remount,suid \"$(stat -c %%m %s)\"",
			check_quote(c, path)),
		"its file system is mounted nosuid");
}

/* --- NoNewPrivileges= ------------------------------------------------------ */

/* What the file sets: 1, 0, or -1 where it says nothing about it. */
static int
read_unit(const char *path)
{
	static const char name[] = "NoNewPrivileges=";
	static const char *const words[] = {"yes", "true", "on", "1"};
	FILE *from = fopen(path, "re");
	char *line = NULL, *value;
	size_t size = 0;
	int set = -1;

	while (from && getline(&line, &size, from) >= 0) {
		if (strncmp(line, name, strlen(name)) != 0)
			continue;
		value = line + strlen(name);
		value[strcspn(value, " \t\r\n")] = '\0';
		set = 0;
		for (size_t i = 0; i < sizeof words / sizeof *words; i++)
			set |= strcasecmp(value, words[i]) == 0;
	}
	free(line);
	if (from)
		fclose(from);
	return set;
}

static const char *const folders[] = {"/etc/systemd/system", "/run/systemd/system",
	"/usr/lib/systemd/system", "/lib/systemd/system"};

#define FOLDERS (sizeof folders / sizeof *folders)

/* The unit's own file: the first that is there counts. */
static int
read_own(struct check *c, const char *unit, const char **from)
{
	for (size_t i = 0; i < FOLDERS; i++) {
		*from = check_text(c, "%s/%s", folders[i], unit);
		if (access(*from, F_OK) == 0)
			return read_unit(*from);
	}
	return -1;
}

/* A drop-in of a later name wins, whichever folder it is in; of two of one name, that in
 * the first folder. */
static int
read_drop_ins(struct check *c, const char *unit, int set, const char **from)
{
	const char *last = "";

	for (size_t i = 0; i < FOLDERS; i++) {
		glob_t found;

		if (glob(check_text(c, "%s/%s.d/*.conf", folders[i], unit), 0, NULL,
			    &found))
			continue;
		for (size_t j = 0; j < found.gl_pathc; j++) {
			const char *name = strrchr(found.gl_pathv[j], '/') + 1;
			int here = read_unit(found.gl_pathv[j]);

			if (here < 0 || strcmp(name, last) <= 0)
				continue;
			set = here;
			last = check_text(c, "%s", name);
			*from = check_text(c, "%s", found.gl_pathv[j]);
		}
		globfree(&found);
	}
	return set;
}

static void
check_units(struct check *c)
{
	static const char *const units[] = {
		"postfix.service", "postfix@.service", "postfix@-.service"};

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		const char *from = "", *to = check_text(c, DROP_IN, units[i]);
		int set = read_own(c, units[i], &from);

		if (read_drop_ins(c, units[i], set, &from) <= 0)
			continue;
		check_found(c, CHECK_NO_NEW_PRIVILEGES, units[i],
			check_text(c,
				"mkdir -p \"$(dirname %s)\" && printf "
				"'[Service]\\nNoNewPrivileges=no\\n' >%s%s",
				to, to,
				access("/run/systemd/system", F_OK) == 0
					? " && systemctl daemon-reload && systemctl "
					  "restart postfix"
					: ""),
			"%s sets NoNewPrivileges", from);
	}
}

/* --- both ------------------------------------------------------------------ */

void
check_lda(struct check *c, const char *path, const char *user)
{
	struct stat st;

	if (stat(path, &st) || !S_ISREG(st.st_mode)) {
		check_found(
			c, CHECK_LDA_PATH, path, "Install lda there.", "it is not there");
		return;
	}
	if (!check_is_virtual(path) && (st.st_mode & 0555) != 0555)
		check_found(c, CHECK_LDA_PATH, path,
			check_text(c, "chmod a+rx %s", check_quote(c, path)),
			"its mode is %04o", (unsigned)st.st_mode & 07777);
	check_reach(c, CHECK_LDA_PATH, path, path, CHECK_EVERYBODY, 0);
	if (!check_is_virtual(path))
		return;
	if (user)
		check_capabilities(c, path, &st, user);
	check_nosuid(c, path);
	check_units(c);
}
