/*
 * quotad's life as a list: each step of the start has its place among those that end it.
 *
 * The scanner is forked first, while this process holds nothing that a reader of
 * strangers' mailboxes should inherit. All that needs root comes before
 * privileges_become; nothing after it can ask for root again.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "log.h"
#include "prepare.h"
#include "privileges.h"
#include "server.h"
#include "services.h"

#define STATUS_FAILED 1
#define STATUS_USAGE  64
#define LOG_LINES     10 /* of a kind, a second */
#define USAGE         "usage: quotad [-v] [-c FILE]\n"

struct start {
	struct server server;
	struct privileges_user user; /* whom we become */
	int as_root;
	char *run_dir; /* markers of the usage store */
};

/* --- options and settings --------------------------------------------------------- */

/* 0 to go on, 1 where all is done, -1 where the options make no sense. */
static int
take_options(char **conf_file, int argc, char **argv)
{
	int letter;

	while ((letter = getopt(argc, argv, "c:v")) != -1)
		switch (letter) {
		case 'c':
			free(*conf_file);
			*conf_file = daemon_absolute(optarg);
			if (*conf_file == NULL)
				return -1;
			break;
		case 'v':
			printf("quotad %s\n", SERVER_VERSION);
			return 1;
		default:
			return -1;
		}
	return optind == argc ? 0 : -1;
}

/* Whom root becomes; NULL: an ordinary user stays who it is. */
static const struct privileges_user *
becomes(const struct start *s)
{
	return s->as_root ? &s->user : NULL;
}

/* Whom to become, and whose members are trusted. An ordinary user stays who it is; the
 * group is trusted all the same, if there is one. */
static int
find_user(struct start *s, struct reason *why)
{
	int found = privileges_find_user(s->server.conf.daemon_user, &s->user, why);

	s->as_root = geteuid() == 0;
	s->server.group = found == 0 ? s->user.gid : (gid_t)-1;
	if (s->as_root && found == 0)
		found = privileges_may_leave_root(&s->user, why);
	if (s->as_root && found == -1)
		return -1;
	prepare_tell_missing(&s->server, becomes(s));
	return 0;
}

/* --- the steps -------------------------------------------------------------------- */

static int
start_scanner(struct start *s, struct reason *why)
{
	const struct scanner_start how = {.user = becomes(s),
		.scan_as = (enum conf_scan_as)s->server.conf.scan_as,
		.min_uid = s->server.conf.min_uid};

	s->server.scanner = scanner_start(&how, why);
	return s->server.scanner == NULL ? -1 : 0;
}

static int
open_listener(struct start *s, struct reason *why)
{
	return prepare_listener(&s->server, becomes(s), why);
}

static int
make_directories(struct start *s, struct reason *why)
{
	if (asprintf(&s->run_dir, "%s.d", s->server.conf.socket) == -1) {
		s->run_dir = NULL;
		return reason_set(why, "no memory");
	}
	return prepare_directories(&s->server, s->run_dir, becomes(s), why);
}

static int
raise_limits(struct start *s, struct reason *why)
{
	return prepare_limits(&s->server, why);
}

static int
drop_privileges(struct start *s, struct reason *why)
{
	if (!s->as_root)
		return privileges_keep(0, why);
	if (privileges_become(&s->user, 0, why) == -1)
		return -1;
	if (getgroups(0, NULL) > 0)
		log_warning("this user namespace denies setgroups: supplementary groups "
			    "stay, and so does what they may read");
	return 0;
}

/* As the user that we are now, whom clients compare with their daemon_user. */
static int
start_listening(struct start *s, struct reason *why)
{
	return listener_listen(s->server.listener, why);
}

static int
open_server(struct start *s, struct reason *why)
{
	return server_open(&s->server, s->run_dir, why);
}

static const struct {
	const char *what;
	int (*step)(struct start *s, struct reason *why);
} steps[] = {
	{"user", find_user},
	{"scanner", start_scanner},
	{"socket", open_listener},
	{"directories", make_directories},
	{"limits", raise_limits},
	{"privileges", drop_privileges},
	{"listening", start_listening},
	{"server", open_server},
};

static int
run(struct start *s)
{
	struct reason why;

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		if (steps[i].step(s, &why) == -1) {
			log_error("can't start: %s: %s", steps[i].what, why.text);
			return STATUS_FAILED;
		}
	log_info("ready, version=%s socket=%s", SERVER_VERSION, s->server.conf.socket);
	return server_run(&s->server) == -1 ? STATUS_FAILED : 0;
}

/* The steps backwards, but that nobody may connect any more. The socket's lock is given
 * up after the store's: whoever gets it finds the store free. */
static void
finish(struct start *s)
{
	listener_end(s->server.listener);
	scanner_stop(&s->server.scanner);
	server_close(&s->server);
	listener_close(&s->server.listener);
	services_free(&s->server);
	systemd_free(&s->server.systemd);
	conf_free(&s->server.conf);
	free(s->run_dir);
	log_next_second();
}

int
main(int argc, char **argv)
{
	struct start s = {0};
	struct reason why;
	char *conf_file = NULL;
	int status = STATUS_FAILED, options;

	if (daemon_open_standard() == -1)
		return STATUS_FAILED;
	options = take_options(&conf_file, argc, argv);
	if (options != 0) {
		if (options == -1)
			fputs(USAGE, stderr);
		free(conf_file);
		return options == 1 ? 0 : STATUS_USAGE;
	}
	daemon_reset_signals();
	umask(077);
	s.server.conf_file = conf_file;
	if (daemon_take_environment(&s.server.systemd, &why) == -1 ||
		conf_load(&s.server.conf, conf_file, &why) == -1) {
		fprintf(stderr, "quotad: %s\n", why.text);
	} else {
		daemon_open_log("quotad", &s.server.conf, LOG_LINES);
		status = run(&s);
	}
	finish(&s);
	free(conf_file);
	return status;
}
