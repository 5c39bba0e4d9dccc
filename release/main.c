/*
 * brim-release's life as a list. It starts as root, for the socket alone (or has it from
 * systemd), and becomes a user of its own for good, with no capability. It can't have
 * no_new_privs, with which no program would get its group (postqueue's is postdrop);
 * instead the bounding set is empty, and must be.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "amount.h"
#include "conf.h"
#include "daemon.h"
#include "log.h"
#include "privileges.h"
#include "server.h"
#include "socket_file.h"

#define NAME          "brim-release"
#define STATUS_FAILED 1
#define STATUS_USAGE  64
#define LOG_LINES     20 /* of a kind, a second */
#define BACKLOG       64
#define LIMIT_MOST    300 /* seconds */
#define USAGE                                                                            \
	"usage: brim-release [-v] [-c FILE] [-p POSTQUEUE] [-C DIRECTORY] [-t TIME]\n"   \
	"       [-u USER]\n"

struct start {
	struct conf conf;
	struct systemd systemd;
	struct server server;
	struct socket_file file;
	struct privileges_user user, client; /* whom we become; who may ask */
	char *conf_file;
	const char *user_name;
	const char *limit;
};

/* --- options ---------------------------------------------------------------------- */

static int
take_option(struct start *s, int letter)
{
	switch (letter) {
	case 'c':
		free(s->conf_file);
		s->conf_file = daemon_absolute(optarg);
		return s->conf_file == NULL ? -1 : 0;
	case 'p':
		s->server.postqueue.path = optarg;
		return 0;
	case 'C':
		s->server.postqueue.configuration = optarg;
		return 0;
	case 't':
		s->limit = optarg;
		return 0;
	case 'u':
		s->user_name = optarg;
		return 0;
	case 'v':
		printf(NAME " %s\n", BRIM_VERSION);
		return 1;
	default:
		return -1;
	}
}

/* 0 to go on, 1 where all is done, -1 where the options make no sense. */
static int
take_options(struct start *s, int argc, char **argv)
{
	int letter, result = 0;

	while (result == 0 && (letter = getopt(argc, argv, "c:p:C:t:u:v")) != -1)
		result = take_option(s, letter);
	return result == 0 && optind != argc ? -1 : result;
}

static int
check_options(struct start *s, struct reason *why)
{
	const char *directory = s->server.postqueue.configuration;
	uint64_t seconds = 0;

	if (s->server.postqueue.path[0] != '/')
		return reason_set(why, "-p: \"%.80s\" is not an absolute path",
			s->server.postqueue.path);
	if (directory != NULL && (directory[0] != '/' || strlen(directory) >= PATH_MAX))
		return reason_set(
			why, "-C: \"%.80s\" is not an absolute path", directory);
	if (amount_time(s->limit, &seconds, why) == -1)
		return -1;
	if (seconds < 1 || seconds > LIMIT_MOST)
		return reason_set(
			why, "-t: %.40s is not between 1s and %ds", s->limit, LIMIT_MOST);
	s->server.postqueue.limit_ms = seconds * 1000;
	return 0;
}

/* --- the steps -------------------------------------------------------------------- */

/* quotad reads what strangers send: it may ask for what this process does, and no more.
 */
static int
find_users(struct start *s, struct reason *why)
{
	if (geteuid() != 0)
		return reason_set(why,
			"it must be started as root, and becomes user %s by itself",
			s->user_name);
	if (privileges_find_user(s->conf.daemon_user, &s->client, why) == -1 ||
		privileges_find_user(s->user_name, &s->user, why) == -1)
		return -1;
	if (s->user.uid == s->client.uid)
		return reason_set(why,
			"user %s is quotad's (daemon_user): it takes one of its own",
			s->user_name);
	s->server.client = s->client.uid;
	return privileges_may_leave_root(&s->user, why);
}

/* Postfix may be installed later: each request looks again. */
static int
look_at_postqueue(struct start *s, struct reason *why)
{
	if (postqueue_check(&s->server.postqueue, why) == -1)
		log_error("nothing can be released: %s", why->text);
	return 0;
}

static int
take_socket(struct start *s, struct reason *why)
{
	int is_listening = 0, fd = s->systemd.sockets[0].fd;
	socklen_t size = sizeof is_listening;

	if (s->systemd.count != 1 || !socket_file_is(fd, s->conf.release_socket) ||
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &size) == -1 ||
		!is_listening)
		return reason_set(why,
			"systemd has not one listening socket %s (release_socket in "
			"brim.conf must be ListenStream= of the unit)",
			s->conf.release_socket);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1 || fcntl(fd, F_SETFL, O_NONBLOCK) == -1)
		return reason_errno(why, "the socket from systemd");
	s->server.listening = fd;
	return 0;
}

/* The group is quotad's from the beginning, and it is root who listens: whoever connects
 * is told so. */
static int
open_socket(struct start *s, struct reason *why)
{
	const struct socket_place at = {.path = s->conf.release_socket,
		.daemon = NAME,
		.mode = 0660,
		.group = s->client.gid,
		.makes_directory = 1};
	struct reason second;
	int result = -1;

	if (s->systemd.count > 0)
		return take_socket(s, why);
	if (privileges_act_in_group(&s->client, why) == 0) {
		s->server.listening = socket_file_make(&s->file, &at, why);
		if (s->server.listening != -1)
			result = listen(s->server.listening, BACKLOG) == -1
					 ? reason_errno(why, "listen")
					 : 0;
	}
	return privileges_act_as(NULL, &second) == -1 ? -1 : result;
}

static int
drop_privileges(struct start *s, struct reason *why)
{
	return privileges_become_for_setgid(&s->user, why);
}

static int
serve(struct start *s, struct reason *why)
{
	return server_run(&s->server, why);
}

static const struct {
	const char *what;
	int (*step)(struct start *s, struct reason *why);
} steps[] = {
	{"user", find_users},
	{"postqueue", look_at_postqueue},
	{"socket", open_socket},
	{"privileges", drop_privileges},
	{"server", serve},
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
	return 0;
}

/* --- life ------------------------------------------------------------------------- */

static void
finish(struct start *s)
{
	if (s->server.listening != -1)
		close(s->server.listening);
	socket_file_remove(&s->file);
	socket_file_unlock(&s->file);
	systemd_free(&s->systemd);
	conf_free(&s->conf);
	free(s->conf_file);
}

int
main(int argc, char **argv)
{
	struct start s = {
		.server = {.listening = -1, .postqueue = {.path = "/usr/sbin/postqueue"}},
		.file = {.lock = -1, .itself = -1},
		.user_name = NAME,
		.limit = "10s"};
	struct reason why;
	int status = STATUS_FAILED, options;

	if (daemon_open_standard() == -1)
		return STATUS_FAILED;
	options = take_options(&s, argc, argv);
	if (options != 0) {
		if (options == -1)
			fputs(USAGE, stderr);
		free(s.conf_file);
		return options == 1 ? 0 : STATUS_USAGE;
	}
	daemon_reset_signals();
	umask(077);
	s.server.systemd = &s.systemd;
	if (check_options(&s, &why) == -1 ||
		daemon_take_environment(&s.systemd, &why) == -1 ||
		conf_load(&s.conf, s.conf_file, &why) == -1) {
		fprintf(stderr, NAME ": %s\n", why.text);
	} else {
		daemon_open_log(NAME, &s.conf, LOG_LINES);
		status = run(&s);
	}
	finish(&s);
	return status;
}
