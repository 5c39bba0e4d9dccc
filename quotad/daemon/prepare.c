/* Before root is given up. */
#include "prepare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "services.h"

/* --- as root or as the user ------------------------------------------------------- */

/* Whether the directory that PATH is in belongs to the user. */
static int
is_in_directory_of(const char *path, uid_t uid)
{
	char *parent = strdup(path), *slash = parent ? strrchr(parent, '/') : NULL;
	struct stat st;
	int is_its = 0;

	if (slash != NULL) {
		slash[slash == parent] = '\0';
		is_its = stat(parent, &st) == 0 && st.st_uid == uid;
	}
	free(parent);
	return is_its;
}

/* Tries the step about PATH as the user or as root, whose directory it is; then, where
 * that is not permitted, as the other. The first reason is told. */
static int
as_either(const char *path, int (*step)(void *arg, struct reason *why), void *arg,
	const struct privileges_user *user, struct reason *why)
{
	int as_user = user != NULL && is_in_directory_of(path, user->uid);
	int tries = user != NULL ? 2 : 1, result = -1, error = EACCES;
	struct reason second, *told = why;

	for (; tries > 0 && result == -1 && (error == EACCES || error == EPERM);
		tries--) {
		if (as_user && privileges_act_as(user, why) == -1)
			return -1;
		result = step(arg, told);
		error = errno;
		if (as_user && privileges_act_as(NULL, why) == -1)
			return -1;
		as_user = !as_user;
		told = &second;
	}
	return result;
}

/* --- the socket ------------------------------------------------------------------- */

static int
open_listener(void *server, struct reason *why)
{
	struct server *v = server;

	v->listener = listener_open(v->services, v->service_count, v->systemd.sockets,
		(size_t)v->systemd.count, why);
	return v->listener == NULL ? -1 : 0;
}

/* --- sockets in directories of others --------------------------------------------- */

/* The owner of the directory that PATH is in: Postfix's private/ is closed even to a root
 * without CAP_DAC_OVERRIDE, which its unit leaves it without. The group is the socket's
 * from its beginning. */
static void
find_owner(const char *path, gid_t group, struct privileges_user *owner)
{
	char *parent = strdup(path), *slash = parent ? strrchr(parent, '/') : NULL;
	struct stat st;

	*owner = (struct privileges_user){0, group == (gid_t)-1 ? getegid() : group};
	if (slash != NULL) {
		slash[slash == parent] = '\0';
		if (stat(parent, &st) == 0)
			owner->uid = st.st_uid;
	}
	free(parent);
}

static int
act_as_owner(const struct privileges_user *owner, struct reason *why)
{
	return owner->uid == 0 ? privileges_act_in_group(owner, why)
			       : privileges_act_as(owner, why);
}

static int
open_permitted(struct server *v, const struct service *s, int as_root, struct reason *why)
{
	struct privileges_user owner;
	struct reason second;
	int result;

	if (!as_root)
		return listener_open_own(v->listener, s, why);
	find_owner(s->path, s->group, &owner);
	if (act_as_owner(&owner, why) == -1) {
		privileges_act_as(NULL, &second);
		return -1;
	}
	result = listener_open_own(v->listener, s, why);
	return privileges_act_as(NULL, &second) == -1 ? -1 : result;
}

/* Without them quotad starts all the same: deliveries need none of them. */
static void
open_all_permitted(struct server *v, int as_root)
{
	struct reason why;

	for (size_t i = 0; i < v->service_count; i++) {
		const struct service *s = &v->services[i];

		if (s->who == SERVICE_PERMITTED && s->path != NULL &&
			open_permitted(v, s, as_root, &why) == -1)
			log_error("protocol %s: %s; quotad goes on without it",
				s->protocol->name, why.text);
	}
}

int
prepare_listener(struct server *v, const struct privileges_user *user, struct reason *why)
{
	if (services_list(v, why) == -1 ||
		as_either(v->conf.socket, open_listener, v, user, why) == -1)
		return -1;
	open_all_permitted(v, user != NULL);
	return 0;
}

/* --- directories ------------------------------------------------------------------ */

struct directory {
	const char *setting, *path;
	const struct privileges_user *user;
};

/* The user makes it in OUTER, which root has made for the user's group alone; to be
 * moved, a directory must be open to who moves it. */
static int
make_and_move(const struct directory *d, const char *outer, const char *inner)
{
	struct reason why;

	if (privileges_act_in_group(d->user, &why) == -1 || mkdir(outer, 0700) == -1)
		return -1;
	if (chmod(outer, 0770) == -1 || privileges_act_as(d->user, &why) == -1 ||
		mkdir(inner, 0700) == -1 || chmod(inner, 0770) == -1 ||
		privileges_act_in_group(d->user, &why) == -1 ||
		rename(inner, d->path) == -1)
		return -1;
	return privileges_act_as(d->user, &why) == -1 ? -1 : chmod(d->path, 0700);
}

/* Without CAP_CHOWN root can't give the user what it has made. */
static int
make_for_user(const struct directory *d, struct reason *why)
{
	char *outer = NULL, *inner = NULL;
	int result = -1;

	errno = ENOMEM;
	if (asprintf(&outer, "%s.new", d->path) == -1)
		outer = NULL;
	else if (asprintf(&inner, "%s/d", outer) == -1)
		inner = NULL;
	if (inner != NULL)
		result = make_and_move(d, outer, inner);
	if (result == -1)
		reason_errno(why, "%s: directory %s, for uid %u without CAP_CHOWN",
			d->setting, d->path, d->user->uid);
	if (privileges_act_in_group(d->user, why) == 0 && inner != NULL) {
		rmdir(inner);
		rmdir(outer);
	}
	free(inner);
	free(outer);
	return privileges_act_as(NULL, why) == -1 ? -1 : result;
}

static int
make_directory(void *arg, struct reason *why)
{
	const struct directory *d = arg;

	if (mkdir(d->path, 0700) == -1)
		return errno == EEXIST ? 0
				       : reason_errno(why, "%s: directory %s", d->setting,
						 d->path);
	if (d->user == NULL || geteuid() != 0 ||
		lchown(d->path, d->user->uid, d->user->gid) == 0)
		return 0;
	return rmdir(d->path) == -1 ? -1 : make_for_user(d, why);
}

/* A file system's own lost+found is nothing. FD is closed. */
static int
is_empty(int fd)
{
	DIR *list = fdopendir(fd);
	const struct dirent *e;
	int empty = list != NULL;

	if (list == NULL)
		close(fd);
	else
		rewinddir(list); /* FD may have been read before */
	while (empty && (e = readdir(list)) != NULL)
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
			strcmp(e->d_name, "lost+found") == 0;
	if (list != NULL)
		closedir(list);
	return empty;
}

/* A volume of a container belongs to root when it is new. It is closed to others before
 * it is known to be empty; /tmp, or the like, is nobody's. Where it can't be given away
 * usage_open says what is wrong with it. */
static void
adopt(const struct directory *d)
{
	int fd = open(d->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd == -1)
		return;
	if (fstat(fd, &st) == 0 && st.st_uid == 0 && !(st.st_mode & S_ISVTX) &&
		is_empty(dup(fd)) && fchmod(fd, 0700) == 0) {
		if (is_empty(dup(fd)) && fchown(fd, d->user->uid, d->user->gid) == 0)
			log_info("%s: the directory %s was root's and empty: it is "
				 "quotad's now",
				d->setting, d->path);
		else
			fchmod(fd, st.st_mode & 07777);
	}
	close(fd);
}

int
prepare_directories(const struct server *v, const char *run_dir,
	const struct privileges_user *user, struct reason *why)
{
	struct directory all[] = {
		{"socket", run_dir, user}, {"usage_dir", v->conf.usage_dir, user}};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		if (user != NULL)
			adopt(&all[i]);
		if (as_either(all[i].path, make_directory, &all[i], user, why) == -1)
			return -1;
	}
	return 0;
}

/* --- limits ----------------------------------------------------------------------- */

/* Root may raise the hard limit, unless it is root of a container. */
int
prepare_limits(const struct server *v, struct reason *why)
{
	rlim_t wanted = v->conf.max_connections + PEER_OTHER_FILES;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		return reason_errno(why, "RLIMIT_NOFILE");
	if (r.rlim_max < wanted) {
		const struct rlimit raised = {wanted, wanted};

		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			return 0;
		log_warning("only %ju descriptors for max_connections = %ju",
			(uintmax_t)r.rlim_max, (uintmax_t)v->conf.max_connections);
		wanted = r.rlim_max;
	}
	r.rlim_cur = wanted;
	return setrlimit(RLIMIT_NOFILE, &r) == -1 ? reason_errno(why, "RLIMIT_NOFILE")
						  : 0;
}

/* --- what is missing -------------------------------------------------------------- */

static const struct {
	unsigned capability;
	int of_root; /* an ordinary user has no use for it */
	const char *name, *cost;
} wishes[] = {
	{PRIVILEGES_READ_SEARCH, 0, "CAP_DAC_READ_SEARCH", NULL},
	{PRIVILEGES_SETPCAP, 1, "CAP_SETPCAP",
		"the bounding set stays, no_new_privs alone guards it"},
	{PRIVILEGES_CHOWN, 1, "CAP_CHOWN",
		"a volume of root's is not given to daemon_user"},
};

/* What becomes of a mailbox that daemon_user may not read. */
static const char *
cost_of_reading(const struct server *v)
{
	const unsigned both = PRIVILEGES_SETUID | PRIVILEGES_SETGID;

	if (v->conf.scan_as != CONF_SCAN_AS_SCANNER && privileges_available(both) == both)
		return "a mailbox that daemon_user may not read is counted as its owner, "
		       "which takes longer";
	return "a mailbox that daemon_user may not read is not counted, and its mail "
	       "waits";
}

void
prepare_tell_missing(const struct server *v, const struct privileges_user *user)
{
	char text[512] = "";
	size_t length = 0;

	for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++)
		if (!privileges_available(wishes[i].capability) &&
			(user != NULL || !wishes[i].of_root))
			length += (size_t)snprintf(text + length, sizeof text - length,
				"%s%s (%s)", length ? ", " : "", wishes[i].name,
				wishes[i].cost ? wishes[i].cost : cost_of_reading(v));
	if (length > 0)
		log_line(user != NULL ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
			"started without %s; daemon_user=%s", text, v->conf.daemon_user);
}
