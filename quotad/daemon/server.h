/*
 * The daemon as a whole: what its rooms share, and the loop in which they take turns.
 *
 * One pass of the loop reads what clients and scanner sent, lets the ledger decide,
 * commits the usage store, and only then sends the answers: nothing is promised that the
 * store does not hold. A pass whose commit fails closes the connections that wait for its
 * answers instead.
 */
#ifndef QUOTAD_SERVER_H
#define QUOTAD_SERVER_H

#include <event2/event.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "access.h"
#include "clients.h"
#include "conf.h"
#include "ledger/ledger.h"
#include "protocol/line.h"
#include "protocol/policy.h"
#include "protocol/socketmap.h"
#include "reason.h"
#include "room.h"
#include "scanner/jobs.h"
#include "senders.h"
#include "store/usage.h"
#include "systemd.h"
#include "timers.h"
#include "users_reload.h"
#include "waiting/waiting.h"
#include "watchdog.h"
#include "wire/listener.h"
#include "wire/peer.h"

#define SERVER_VERSION  BRIM_VERSION /* the Makefile has it */
#define SERVER_SERVICES 17           /* at most: sockets, but for those of systemd */

struct connections;
struct recount_schedule;
struct failed_look;
struct releaser;

struct server {
	/* given by main */
	struct conf conf;
	const char *conf_file; /* NULL: the default one */
	struct systemd systemd;
	struct scanner *scanner;
	struct service services[SERVER_SERVICES];
	size_t service_count;
	struct listener *listener;
	gid_t group; /* that is trusted; (gid_t)-1: none */
	/* opened by server_open */
	struct event_base *base;
	struct ledger *ledger;
	struct usage *usage;
	struct users_reload *users;
	struct room room;
	struct senders *senders;
	struct clients *clients;
	struct waiting *waiting;
	struct releaser *releaser;
	struct access access;
	struct line line;
	struct policy policy;
	struct socketmap socketmap;
	struct peers *peers;
	struct connections *connections;
	struct recount_schedule *schedule;
	SLIST_HEAD(, failed_look) failed_looks; /* that could not begin */
	struct timers timers;
	uint64_t started_ms;
	uint64_t table;  /* users_reload_number as the ledger knows it */
	int owners_wait; /* connections that own tickets can't be read to their ends now
			  */
	int zombies;     /* of others: the next pass waits for them */
	struct watchdog watchdog;
	int stop, failed;
};

/* Opens ledger, store (RUN_DIR has its markers), table and loop. -1 with the reason. */
int server_open(struct server *v, const char *run_dir, struct reason *why);

/* Serves until a signal says stop. 0, or -1 where it could not go on. */
int server_run(struct server *v);

/* Commits and closes what server_open opened. */
void server_close(struct server *v);

/* The daemon can't go on: ends the loop, after a line in the log. */
void server_fail(struct server *v, const char *text);

/* Reads the settings again; bad ones leave the old in force. */
void server_reload(struct server *v);

/* The ledger's rules as the settings have them. */
void server_rules(const struct conf *c, struct ledger_rules *rules);

#endif
