/*
 * brimadm check: what could make a delivery fail or a promise break, before mail is late.
 *
 * A check looks and changes nothing. What it finds is told with check_found: the kind of
 * the finding (a row of the table in kinds.c, with its stable name and why it
 * matters), what is so now, and the command that repairs it. Where a thing can't be
 * looked at, that is a finding, too.
 */
#ifndef BRIMADM_CHECK_H
#define BRIMADM_CHECK_H

#include <sys/stat.h>
#include <sys/types.h>

#include "brimadm.h"
#include "cli/progress.h"
#include "postfix/postconf.h"
#include "postfix/sockets.h"
#include "probe.h"
#include "quota_client.h"

enum check_kind {
	CHECK_SETTINGS,
	CHECK_SETTINGS_MODE,
	CHECK_TABLE_MISSING,
	CHECK_TABLE_OWNER,
	CHECK_TABLE_MODE,
	CHECK_TABLE_REACH,
	CHECK_TABLE_DIRECTORY,
	CHECK_TABLE_DAMAGED,
	CHECK_TABLE_SUM,
	CHECK_TABLE_EMPTY,
	CHECK_RECIPIENT,
	CHECK_RECORD,
	CHECK_ADDRESS,
	CHECK_ADDRESS_OLDER,
	CHECK_MAILBOX_MISSING,
	CHECK_MAILBOX_UNMOUNTED,
	CHECK_MAILBOX_ELSEWHERE,
	CHECK_MAILBOX_OWNER,
	CHECK_MAILBOX_MODE,
	CHECK_MAILBOX_WAY,
	CHECK_MAILBOX_LINK,
	CHECK_MAILBOX_OPEN,
	CHECK_MAILBOX_SHARED,
	CHECK_MAILBOX_COUNT,
	CHECK_MAILBOX_NOT_COUNTED,
	CHECK_PROBE,
	CHECK_PROBE_FAILED,
	CHECK_PROBE_QUOTA,
	CHECK_PROBE_LEFT,
	CHECK_PROBE_REMOVED,
	CHECK_DISK_KIND,
	CHECK_DISK_READ_ONLY,
	CHECK_DISK_ROOM,
	CHECK_DISK_INODES,
	CHECK_DAEMON_USER,
	CHECK_USAGE_OWNER,
	CHECK_TRUSTED_USER,
	CHECK_LOCAL_DOMAIN,
	CHECK_BLOCKED_SENDERS,
	CHECK_BLOCKED_OWN,
	CHECK_QUOTAD_DOWN,
	CHECK_QUOTAD_STRANGER,
	CHECK_QUOTAD_TABLE,
	CHECK_RELEASE_DOWN,
	CHECK_RELEASE_POSTQUEUE,
	CHECK_SCAN_AS,
	CHECK_SOCKET_REACH,
	CHECK_ACCOUNTS,
	CHECK_ACCOUNT_OWNER,
	CHECK_ROOT_MAIL,
	CHECK_ALIASES_OLD,
	CHECK_POSTFIX,
	CHECK_INSTANCE,
	CHECK_LDA_PATH,
	CHECK_LDA_CAPABILITIES,
	CHECK_LDA_NOSUID,
	CHECK_LDA_CONF,
	CHECK_LDA_CONF_OTHER,
	CHECK_LDA_ARGUMENTS,
	CHECK_PIPE_USER,
	CHECK_PIPE_TRUST,
	CHECK_PIPE_OWNER,
	CHECK_PIPE_COLUMNS,
	CHECK_PIPE_RECIPIENTS,
	CHECK_PIPE_ARGUMENTS,
	CHECK_PIPE_NULL_SENDER,
	CHECK_PIPE_FLAGS,
	CHECK_PIPE_SIZE,
	CHECK_DELIMITER,
	CHECK_NAME_CUT,
	CHECK_DOMAIN,
	CHECK_DOMAIN_ELSEWHERE,
	CHECK_RECIPIENT_UNLISTED,
	CHECK_RECIPIENT_NOBODY,
	CHECK_BEFORE_COMMAND,
	CHECK_DEFER_TRANSPORTS,
	CHECK_SERVICE_DISABLED,
	CHECK_TRANSPORT_ERROR,
	CHECK_DEFAULT_TRANSPORT,
	CHECK_FILE_LIMIT,
	CHECK_TIME_LIMIT,
	CHECK_SHELL,
	CHECK_QUEUE_LIFETIME,
	CHECK_QUEUE_SHORT,
	CHECK_BOUNCE_LIFETIME,
	CHECK_DELAY_WARNING,
	CHECK_SOFT_BOUNCE,
	CHECK_STATUS_FILTER,
	CHECK_BOUNCE_SERVICE,
	CHECK_NOTICES,
	CHECK_NO_NEW_PRIVILEGES,
	CHECK_LOCAL_RECIPIENTS,
	CHECK_MESSAGE_SIZE,
	CHECK_POLICY_REACH,
	CHECK_POLICY_ORDER,
	CHECK_POLICY_DOWN,
	CHECK_POLICY_SIZE,
	CHECK_POLICY_TWICE,
	CHECK_POLICY_AGAIN,
	CHECK_POLICY_UNKNOWN,
	CHECK_POLICY_UNUSED,
	CHECK_POLICY_USERS,
	CHECK_MAP_REACH,
	CHECK_MAP_NAME,
	CHECK_MAP_TWICE,
	CHECK_MAP_ALIASES,
	CHECK_MAP_DOWN,
	CHECK_MAP_UNUSED,
	CHECK_KINDS
};

#define CHECK_COMPARED 64

struct check_texts;
struct check_disk;
struct check_place;

struct check {
	struct brimadm *a;
	const char *address; /* all mailboxes where it is NULL */
	int has_conf;
	struct users *users; /* NULL where the table can't be read */
	uint64_t longest;    /* the longest over_quota of all, but for defer */
	int has_longest;
	int defers; /* the over_quota of one is defer */
	int waits;  /* the smtp_full of one is wait */
	struct postconf postfix;
	int has_postfix;    /* Postfix is there, and its settings were read */
	char *command;      /* mailbox_command as it is written, if it runs lda */
	char *some_account; /* a mailbox of this host, for root's mail */
	char *foreign;      /* a mailbox that its owner alone may be able to read */
	char *unread;       /* one that daemon_user may not read */
	int is_mapped;      /* command is of mailbox_command_maps: not for all accounts */
	int has_accounts;   /* the table has bare names */
	uid_t daemon_uid;   /* 0: there is no such user */
	gid_t daemon_gid;
	/* the report */
	size_t found[3]; /* errors, warnings, notes */
	size_t printed, mailboxes;
	int failed; /* no memory: the report is not whole */
	struct progress bar;
	struct check_texts *texts;
	unsigned
		listens; /* bits of enum sockets_kind: a repair has its path for quotad */
	const char *sockets; /* those that were looked at, one a line; NULL: none */
	/* what the mailboxes have in common */
	struct check_disk *disks;
	size_t disk_count;
	struct check_place *places;
	size_t place_count, place_room;
	struct probe probe;
	unsigned disk_kinds; /* bits: those that were told of */
	/* what quotad knows of those that are missing, or sees otherwise */
	struct quota_client quotad;
	int quotad_asked;
	uint64_t asked_ms;
	dev_t compared[CHECK_COMPARED]; /* file systems that quotad sees, too, or not */
	size_t compared_count;
};

/* --- check.c: the story and the report -------------------------------------- */

/* Reports one finding about SUBJECT. REPAIR is a command for sh, or a sentence. */
void check_found(struct check *c, enum check_kind kind, const char *subject,
	const char *repair, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* One more mailbox is looked at: its caller holds no text of the one before. */
void check_step(struct check *c);

/* A text that lives as long as the look at one mailbox, or, outside those, the whole step
 * of the story: however many findings it holds. Never NULL. */
const char *check_text(struct check *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The same: a word as sh reads it. */
const char *check_quote(struct check *c, const char *word);

/* brimadm with the settings that are in force: "brimadm" or "brimadm -c FILE". */
const char *check_brimadm(struct check *c);

/* The file of the settings. */
const char *check_conf_file(const struct check *c);

/* A command that gives a setting a value. */
const char *check_setting(struct check *c, const char *name, const char *value);

/* The last line of the settings' file that continues the setting in line FIRST. */
int check_last_line(const struct check *c, int first);

/* --- files.c: settings, table -------------------------------- */

void check_settings(struct check *c);
void check_settings_file(struct check *c);
void check_table(struct check *c);

/* Everybody, for check_reach. */
#define CHECK_EVERYBODY ((uid_t)-1)

/* The bit, as chmod(1) has it, that lets the user search the directory; NULL where it has
 * it. */
const char *check_missing_right(const struct stat *st, uid_t uid, gid_t gid);

/* Reports the first directory on the way to PATH that the user can't search: 1, or 0. */
int check_reach(struct check *c, enum check_kind kind, const char *subject,
	const char *path, uid_t uid, gid_t gid);

/* --- folders.c ------------------------------------------------ */

/* What of the mailbox's folders does not count, or keeps it from being counted. */
void check_folders(struct check *c, const struct mailbox *m);

/* --- delivery.c: what a delivery's calls answer ---------------- */

/* Whether the mailbox is on a file system that something is known of. */
void check_disk_kind(struct check *c, const struct mailbox *m);

/* Whether its owner can open the mailbox and its new/, as root can't; errno stays. */
int check_owner_sees(const struct mailbox *m);

/* Tries the calls in the mailbox, and tells what they answered. */
void check_delivery(struct check *c, const struct mailbox *m);

/* --- repair.c: repairs of what users own --------------------- */

/* Who can make a path lead elsewhere. */
enum check_hold {
	HOLD_ROOT,
	HOLD_OWNER_LAST, /* the owner, by its last part alone */
	HOLD_OWNER,
	HOLD_OTHERS
};

/* Who, of root, the owner UID and all others, can put a link in the place of any part of
 * PATH, or of what is missing there. */
enum check_hold check_hold(const char *path, uid_t uid);

/* The path as sh reads it, without a slash at its end, which would follow a link. */
const char *check_bare_path(struct check *c, const char *path);

/* The command, run with the user's rights and without root's terminal. */
const char *check_as_user(struct check *c, uid_t uid, gid_t gid, const char *command);

/* Words for what no command can repair safely. */
const char *check_look_at(struct check *c, const char *path);

/* The command about PATH as it is, as the user, or words: by who holds the path. */
const char *check_user_command(
	struct check *c, const char *path, uid_t uid, gid_t gid, const char *command);

/* The repair that gives the recipient its mailbox, whose directory is open as DIR. */
const char *check_give_command(struct check *c, const struct mailbox *m, int dir);

/* The repair that makes the missing mailbox. */
const char *check_make_command(struct check *c, const struct mailbox *m);

/* The repair of a link on the path to a mailbox. */
const char *check_link_repair(struct check *c, const struct mailbox *m);

/* --- mailbox.c: mailboxes and their file systems ------------- */

void check_mailboxes(struct check *c);
void check_stores(struct check *c);
void check_mailboxes_free(struct check *c);

/* --- unmounted.c --------------------------------------------- */

/* Whether the mailbox had mail and is missing: then it is reported. */
int check_unmounted(struct check *c, const struct mailbox *m);

/* Reports it where quotad, in its mount namespace, sees something else in the place of
 * the Maildir, whose ST this is; once for each file system. */
void check_elsewhere(struct check *c, const struct mailbox *m, const struct stat *st);

/* Asks no more. */
void check_unmounted_end(struct check *c);

/* --- daemon.c: quotad, users and accounts -------------------- */

void check_users(struct check *c);
void check_quotad(struct check *c);
void check_accounts(struct check *c);

/* A command that makes quotad read its settings, or "" where there is none to tell. */
const char *check_reload(struct check *c);

/* A command that ends quotad, if it runs, and starts it again. */
const char *check_restart(struct check *c);

/* Who listens on the socket; 0 where nobody does. */
pid_t check_listener(const char *path);

/* A command that adds a user of the system. */
const char *check_add_user(struct check *c, const char *name);

/* Whether systemd runs this host. */
int check_has_systemd(void);

/* --- release.c: brim-release, where mail waits for room ------ */

void check_release(struct check *c);

/* --- senders.c ----------------------------------------------- */

void check_senders(struct check *c);

/* Those of the table that the list blocks. */
void check_own_senders(struct check *c);

/* --- postfix.c ----------------------------------------------- */

void check_postfix_read(struct check *c);
void check_postfix(struct check *c);
void check_postfix_free(struct check *c);

/* A setting of Postfix's; "" where it has none. */
const char *check_postfix_value(const struct check *c, const char *name);

/* A command that gives one a value, and tells a Postfix that runs. */
const char *check_postfix_setting(struct check *c, const char *name, const char *value);

/* " && postfix reload" where it runs. */
const char *check_postfix_reload(struct check *c);

/* The path of lda in the command; NULL where it runs none. */
const char *check_find_lda(struct check *c, const char *command);

/* The path of lda in the argv of a pipe service; NULL where it runs none. */
const char *check_pipe_lda(struct check *c, const struct postconf_service *s);

/* A command that gives the setting that value where it holds for the service: in its line
 * of master.cf, or in main.cf. */
const char *check_postfix_own(struct check *c, const struct postconf_service *s,
	const char *name, const char *value);

/* --- reports.c: what senders are told ------------------------- */

/* HAS_PIPE: lda is run by pipe(8), too. */
void check_reports(struct check *c, int has_pipe);

/* --- policy.c: the policy service ----------------------------------------------------
 */

/* DELIVERS: Postfix delivers by Brim. */
void check_policy(struct check *c, int delivers);

/* --- policy_again.c: behind a content filter -----------------------------------------
 */

/* Whether mail comes back to the service, of smtpd(8), from a content filter. */
int check_is_behind_filter(const struct check *c, const struct postconf_service *s);

/* The service, to which mail comes back, asks again in these lists, of LISTS: bits. */
void check_policy_again(struct check *c, const struct postconf_service *s,
	const char *const *lists, unsigned bits);

/* --- maps.c: look-ups in the user table ----------------------------------------------
 */

void check_brims_maps(struct check *c, int delivers);

/* --- sockets.c: what Postfix asks ----------------------------------------------------
 */

/* A name of Postfix's that is meant for a socket of quotad's. CHROOT: a daemon that uses
 * it is locked in. */
struct check_socket {
	enum sockets_kind kind;
	const char *name; /* "private/brim-policy" */
	int chroot;
	const char *better; /* the name that it should be */
	const char *first;  /* a command that must be run for it; NULL without one */
};

/* What is so where quotad is not to listen where the name leads, with BETTER and FIRST;
 * NULL where it is, or where the repair of an earlier one sees to it. */
const char *check_socket_name(struct check *c, struct check_socket *s);

/* The repair of a wrong name: FIRST, and CHANGE, which puts BETTER in its place. */
const char *check_socket_repair(
	struct check *c, const struct check_socket *s, const char *change);

/* Reports what keeps Postfix from the socket, once for each. */
void check_socket_reach(struct check *c, const struct check_socket *s);

/* --- twice.c: settings that Postfix and Brim both have ------- */

/* Finds the command that runs lda, in main.cf, in master.cf or in mailbox_command_maps.
 */
void check_find_command(struct check *c);

void check_delimiter(struct check *c);
void check_message_size(struct check *c);

/* What Postfix uses in the place of mailbox_command. */
void check_before_command(struct check *c);

/* --- cut_names.c: what Postfix takes for an extension ---------- */

void check_cut_names(struct check *c);

/* --- domains.c: whose domain is whose ------------------------ */

/* Of the domains that Postfix hands to lda those that Brim does not know, and of Brim's
 * those that Postfix does not hand to it. */
void check_domains(struct check *c);

/* --- recipients.c: whose address is whose -------------------- */

/* The setting whose maps have the recipients of a domain that is handed to lda; NULL
 * where there is none, or it is not. */
typedef const char *check_recipients_in(const void *arg, const char *domain);

/* The targets of Postfix's aliases that lda would bounce. */
void check_targets(struct check *c, check_recipients_in *in, const void *arg);

/* The addresses in the maps of the setting against those of the user table. */
void check_recipients(
	struct check *c, const char *setting, check_recipients_in *in, const void *arg);

/* Whether the transport, such as "brim" or "local:host", runs lda: by pipe(8), by
 * local(8) as mailbox_command, or not. */
enum check_route { ROUTE_OTHER, ROUTE_PIPE, ROUTE_COMMAND };
enum check_route check_route(struct check *c, const char *transport);

/* --- instances.c: other Postfixes of this host ---------------- */

/* DELIVERS: this one delivers by Brim. */
void check_instances(struct check *c, int delivers);

/* --- stopped.c: what keeps mail from lda --------------------- */

void check_stopped(struct check *c);

/* --- pipe.c: the arguments of a service ---------------------- */

void check_pipe_arguments(struct check *c, const struct postconf_service *s);

/* --- lda.c: how Postfix runs lda ----------------------------- */

/* The program itself; USER is pipe's, NULL for mailbox_command. */
void check_lda(struct check *c, const char *path, const char *user);

/* Whether PATH is lda-virtual. */
int check_is_virtual(const char *path);

/* --- arguments.c: words that lda does not take -------------------------------------
 */

/* Marks those of the words behind lda's path that it refuses. The index of the first; -1
 * without one. */
int check_arguments(char *const *word, int count, char *refused);

/* Of mailbox_command, which needs no shell and runs LDA. */
void check_command_arguments(struct check *c, const char *lda);

/* --- lda_conf.c: the settings that lda is told to read -------------------------------
 */

struct privileges_user;

/* What is wrong with FILE, which lda gets by -c as USER (NULL: not known), with the kind
 * of the finding; NULL where nothing is. *REPAIR makes it readable; where that is NULL
 * the command needs another -c. */
const char *check_lda_conf(struct check *c, const char *lda, const char *file,
	const struct privileges_user *user, enum check_kind *kind, const char **repair);

/* The file that -c should name; NULL where it should be left out. */
const char *check_lda_conf_right(struct check *c, const char *lda);

/* The same of mailbox_command. */
void check_command_conf(struct check *c, const char *lda);

/* --- addresses.c ---------------------------------------------------------------- */

void check_addresses(struct check *c);

/* What stands in local_domains and is no domain. */
void check_local_names(struct check *c);

#endif
