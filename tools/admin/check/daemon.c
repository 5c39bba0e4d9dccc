/* check: quotad, the users that Brim needs, and the accounts that have no mailbox. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "daemon_table.h"
#include "privileges.h"
#include "quota_client.h"

#define FIRST_ACCOUNT 1000 /* lower uids are the system's */
#define SECONDS       5    /* that quotad may take to answer */
#define TABLE_MS      2000 /* to see a table that is being taken now */

/* --- commands -------------------------------------------------------------- */

int
check_has_systemd(void)
{
	return access("/run/systemd/system", F_OK) == 0;
}

pid_t
check_listener(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct ucred peer = {0};
	socklen_t size = sizeof peer;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return 0;
	strncpy(to.sun_path, path, sizeof to.sun_path - 1);
	if (connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	close(fd);
	return peer.pid;
}

/* Ends what listens, waits until it has let go of the socket, and starts quotad. One that
 * is gone already may have been started again, by the repair before: nobody waits for it
 * long.
 */
static const char *
restart(struct check *c, const char *signal)
{
	pid_t pid = check_listener(c->a->conf.socket);
	const char *start, *lock, *file = c->a->conf_file;

	if (check_has_systemd())
		return "systemctl restart quotad";
	start = check_text(c, "setsid quotad%s%s >/dev/null 2>&1 </dev/null &",
		file ? " -c " : "", file ? check_quote(c, file) : "");
	if (!pid)
		return start;
	lock = check_text(c, "%s/lock", c->a->conf.usage_dir);
	if (access(lock, F_OK) == 0) /* quotad makes it and closes it last */
		lock = check_text(c, " && flock -w 20 %s true", check_quote(c, lock));
	else
		lock = "";
	return check_text(c, "kill -%s %d && flock -w 20 %s.lock true%s; %s", signal,
		(int)pid, check_quote(c, c->a->conf.socket), lock, start);
}

const char *
check_restart(struct check *c)
{
	return restart(c, "TERM");
}

const char *
check_reload(struct check *c)
{
	pid_t pid;

	if (check_has_systemd())
		return " && systemctl reload quotad";
	pid = check_listener(c->a->conf.socket);
	return pid ? check_text(c, " && kill -HUP %d", (int)pid) : "";
}

const char *
check_add_user(struct check *c, const char *name)
{
	const char *quoted = check_quote(c, name);

	return check_text(c,
		"useradd --system %s%s --home-dir /nonexistent --no-create-home "
		"--shell /usr/sbin/nologin %s",
		getgrnam(name) ? "-g " : "--user-group", getgrnam(name) ? quoted : "",
		quoted);
}

/* --- users ----------------------------------------------------------------- */

/* The list without the name. */
static const char *
without(struct check *c, const char *list, const char *name)
{
	const char *left = "";
	char *other;

	while ((other = conf_list_next(&list))) {
		char *escaped = strcmp(other, name) == 0 ? NULL : record_escape(other);

		if (escaped)
			left = check_text(c, "%s%s%s", left, *left ? " " : "", escaped);
		free(escaped);
		free(other);
	}
	return left;
}

static void
check_trusted(struct check *c)
{
	const char *list = c->a->conf.trusted_users;
	struct privileges_user user;
	struct reason why;
	char *name;

	while ((name = conf_list_next(&list))) {
		if (privileges_find_user(name, &user, &why))
			check_found(c, CHECK_TRUSTED_USER, name,
				check_text(c, "%s%s",
					check_setting(c, "trusted_users",
						without(c, c->a->conf.trusted_users,
							name)),
					check_reload(c)),
				"trusted_users names it, but: %s", why.text);
		free(name);
	}
}

/* A link there is followed if it is root's. */
static const char *
give_usage(struct check *c, const char *directory, const struct privileges_user *daemon)
{
	enum check_hold hold = check_hold(directory, daemon->uid);
	char *real = realpath(directory, NULL);
	const char *path = check_bare_path(c, real ? real : directory);
	struct stat st;

	free(real);
	if (hold > HOLD_OWNER_LAST ||
		(hold != HOLD_ROOT && (lstat(directory, &st) || S_ISLNK(st.st_mode))))
		return check_look_at(c, directory);
	return check_text(c, "chown -hR -P %u:%u %s", (unsigned)daemon->uid,
		(unsigned)daemon->gid, path);
}

static void
check_usage(struct check *c, const struct privileges_user *daemon)
{
	const char *directory = c->a->conf.usage_dir;
	struct stat st;

	if (stat(directory, &st) || st.st_uid == daemon->uid)
		return;
	check_found(c, CHECK_USAGE_OWNER, directory, give_usage(c, directory, daemon),
		"it belongs to uid %u, not to %s", (unsigned)st.st_uid,
		c->a->conf.daemon_user);
}

void
check_users(struct check *c)
{
	const char *name = c->a->conf.daemon_user;
	struct privileges_user daemon;
	struct reason why;

	if (privileges_find_user(name, &daemon, &why)) {
		check_found(c, CHECK_DAEMON_USER, name,
			getpwnam(name) ? "Name another user as daemon_user."
				       : check_add_user(c, name),
			"%s", why.text);
	} else {
		c->daemon_uid = daemon.uid;
		c->daemon_gid = daemon.gid;
		check_usage(c, &daemon);
	}
	check_trusted(c);
}

/* --- quotad ---------------------------------------------------------------- */

/* A table that was changed a moment ago may be on its way. */
static void
compare_tables(struct check *c, struct quota_client *q)
{
	struct stat st = {0};
	struct reason why;
	char *identity;
	int has;

	(void)stat(c->a->conf.users_db, &st); /* a table that is gone is nobody's */
	has = daemon_table_wait(q, &st, 0, TABLE_MS, &identity, &why);
	if (has < 0)
		check_found(c, CHECK_QUOTAD_DOWN, c->a->conf.socket, restart(c, "KILL"),
			"%s", why.text);
	else if (has == 0)
		check_found(c, CHECK_QUOTAD_TABLE, c->a->conf.users_db,
			restart(c, "TERM"), "quotad has another table (%s)%s%s", identity,
			why.text[0] ? ", and can't use this one: " : "", why.text);
	free(identity);
}

/* What quotad says of itself by that name, for free; NULL: nothing. */
static char *
ask_statistic(struct quota_client *q, const char *name)
{
	enum quota_kind kind = QUOTA_MORE;
	struct quota_answer answer;
	struct reason why;
	char *found = NULL;

	if (quota_send(q, &why, "STATS"))
		return NULL;
	while (kind == QUOTA_MORE && quota_receive(q, &answer, &why) == 0) {
		const char *value = record_get(&answer.fields, name);

		kind = answer.kind;
		if (value && !found)
			found = strdup(value);
		quota_answer_clear(&answer);
	}
	return found;
}

/* LACKS: what quotad was started without, and what that is for. */
static void
cant_count(struct check *c, const char *key, const char *what, const char *lacks,
	const char *repair)
{
	const int by_setting = c->a->conf.scan_as == CONF_SCAN_AS_SCANNER;

	check_found(c, CHECK_SCAN_AS, key,
		by_setting
			? check_text(c, "%s && %s", check_setting(c, "scan_as", "auto"),
				  restart(c, "TERM"))
			: repair,
		"%s, and quotad %s%s", what,
		by_setting ? "counts as its scanner alone (scan_as)"
			   : "was started without ",
		by_setting ? "" : lacks);
}

/* Where no capability opens a mailbox quotad must be able to become its owner. */
static void
check_scan_as(struct check *c, struct quota_client *q)
{
	char *scan_as = ask_statistic(q, "scan_as");
	char *read_search = ask_statistic(q, "read_search");
	const int scanner_alone = scan_as && strcmp(scan_as, "scanner") == 0;

	if (scanner_alone && c->foreign)
		cant_count(c, c->foreign, "its file system judges by the uid",
			"the capabilities to become its owner",
			"Give quotad CAP_SETUID and CAP_SETGID, or make the mailboxes' "
			"owner its daemon_user.");
	if (scanner_alone && c->unread && read_search && strcmp(read_search, "0") == 0)
		cant_count(c, c->unread, "daemon_user may not read it",
			"CAP_DAC_READ_SEARCH, and without CAP_SETUID and CAP_SETGID",
			"Give quotad CAP_DAC_READ_SEARCH, or CAP_SETUID and CAP_SETGID, "
			"or make the mailboxes' owner its daemon_user.");
	free(read_search);
	free(scan_as);
}

static void
check_socket_mode(struct check *c)
{
	const char *path = c->a->conf.socket;
	struct stat st;

	if (check_reach(c, CHECK_SOCKET_REACH, path, path, CHECK_EVERYBODY, 0) ||
		stat(path, &st) || (st.st_mode & 0222) == 0222)
		return;
	check_found(c, CHECK_SOCKET_REACH, path,
		check_text(c, "chmod a+rw %s", check_quote(c, path)), "its mode is %04o",
		(unsigned)st.st_mode & 07777);
}

void
check_quotad(struct check *c)
{
	struct conf *conf = &c->a->conf;
	struct quota_client q;
	struct reason why;

	check_socket_mode(c);
	errno = 0;
	if (quota_connect(&q, conf->socket, conf->daemon_user, SECONDS, &why) == 0) {
		if (c->users)
			compare_tables(c, &q);
		if (c->foreign || c->unread)
			check_scan_as(c, &q);
		quota_close(&q);
		return;
	}
	if (check_listener(conf->socket))
		check_found(c, CHECK_QUOTAD_STRANGER, conf->socket, restart(c, "TERM"),
			"%s", why.text);
	else
		check_found(c, CHECK_QUOTAD_DOWN, conf->socket, restart(c, "TERM"), "%s",
			why.text);
}

/* --- accounts -------------------------------------------------------------- */

/* Whether mail for the account leads anywhere, by its name or in the first domain. */
static int
is_known(struct check *c, const char *name, uid_t uid)
{
	const char *domains = c->a->conf.local_domains;
	char *domain = conf_list_next(&domains), *text = NULL;
	struct address a;
	struct record r = {0};
	struct reason why;
	const char *own;
	uint64_t has = 0;
	int known;

	if (asprintf(&text, "%s%s%s", name, domain ? "@" : "", domain ? domain : "") < 0)
		text = NULL;
	free(domain);
	if (!text)
		return 1;
	known = address_parse(&a, text, "", &why) != 0 ||
		mailbox_find_record(c->users, &c->a->conf, &a, &r, &why) != 0;
	own = known && r.key && strcmp(r.key, name) == 0 ? record_get(&r, "uid") : NULL;
	if (own && c->command && !c->is_mapped && amount_count(own, &has, NULL) == 0 &&
		has != uid)
		check_found(c, CHECK_ACCOUNT_OWNER, name,
			check_text(c, "%s set %s uid=%u", check_brimadm(c),
				check_quote(c, name), (unsigned)uid),
			"its record has uid %llu, and /etc/passwd %u",
			(unsigned long long)has, (unsigned)uid);
	record_clear(&r);
	free(text);
	return known;
}

/* Mail users, as those of pipe services and trusted_users, get no mail of their own. */
static int
is_mail_user(const struct check *c, const char *name)
{
	int is = conf_list_has(c->a->conf.trusted_users, name);

	for (size_t i = 0; !is && c->has_postfix && i < c->postfix.service_count; i++) {
		char *user = postconf_argument(&c->postfix.services[i], "user");

		if (user) {
			user[strcspn(user, ":")] = '\0';
			is = strcmp(user, name) == 0;
		}
		free(user);
	}
	return is;
}

void
check_accounts(struct check *c)
{
	FILE *from;
	const struct passwd *p;
	const char *names = "";
	size_t count = 0;

	if (c->has_postfix && (!c->command || c->is_mapped))
		return; /* their mail is not Brim's */
	from = fopen("/etc/passwd", "re");
	while (from && (p = fgetpwent(from))) {
		if (p->pw_uid < FIRST_ACCOUNT || p->pw_uid == UID_NOBODY ||
			is_known(c, p->pw_name, p->pw_uid) || is_mail_user(c, p->pw_name))
			continue;
		if (count++ < 5)
			names = check_text(
				c, "%s%s%s", names, *names ? ", " : "", p->pw_name);
	}
	if (from)
		fclose(from);
	if (count)
		check_found(c, CHECK_ACCOUNTS, "/etc/passwd",
			check_text(c, "%s import-passwd", check_brimadm(c)),
			"%s no record: %s%s",
			AMOUNT_OF(count, "account has", "accounts have"), names,
			count > 5 ? ", ..." : "");
}
