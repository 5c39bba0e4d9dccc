/* The server: the loop, settings read again, and what is opened and closed. */
#include "server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "folders.h"
#include "keeping.h"
#include "log.h"
#include "looks.h"
#include "protocol/policy_instances.h"
#include "scanner/recount_schedule.h"
#include "services.h"
#include "wire/connection.h"
#include "wire/releaser.h"
#include "zombies.h"

void
server_fail(struct server *v, const char *text)
{
	log_error("%s; stopping", text);
	v->failed = v->stop = 1;
}

void
server_rules(const struct conf *c, struct ledger_rules *rules)
{
	rules->deadline_ms = c->deadline * 1000;
	rules->answer_ms = c->quotad_timeout * 1000;
	rules->recheck_per_cent = c->recheck_above;
	rules->counting = folders_rules(c->quota_ignore);
}

/* --- the ledger's neighbours ------------------------------------------------------ */

static void
call_corrected(void *arg, struct account *a, uint64_t was, uint64_t now)
{
	(void)arg;
	log_info("corrected mailbox=%s was=%" PRIu64 " used=%" PRIu64, ledger_name(a),
		was, now);
}

static int
call_look_up(void *arg, const struct account *a, struct ledger_place *place,
	struct ledger_limits *limits)
{
	struct server *v = arg;

	return room_look_up(&v->room, a, place, limits);
}

static int
call_is_removed(void *arg, const struct account *a)
{
	struct server *v = arg;

	return room_is_removed(&v->room, a);
}

static uint64_t
call_generation(void *arg)
{
	const struct server *v = arg;

	return users_reload_generation(v->users);
}

/* A table that can't be read says nothing. */
static uint64_t
call_removed_in(void *arg, uint64_t path)
{
	struct server *v = arg;
	struct users *users = users_reload_table(v->users);
	uint64_t generation;
	struct reason why;

	if (users == NULL || users_removed_in(users, path, &generation, &why) == -1)
		return 0;
	return generation;
}

static void
call_promise(void *arg, struct account *a, const struct ledger_promise *p,
	enum ledger_promise_event event)
{
	struct server *v = arg;
	static void (*const tell[])(
		struct clients * c, uint64_t account, uint64_t now_ms) = {
		[LEDGER_PROMISE_MADE] = clients_promised,
		[LEDGER_PROMISE_USED] = clients_used,
		[LEDGER_PROMISE_OVER] = clients_ran_out,
		[LEDGER_PROMISE_GONE] = clients_gone,
	};

	(void)a;
	tell[event](v->clients, p->client, clock_now_ms());
}

/* While the store is loaded nobody is known to wait. */
static void
call_room(void *arg, struct account *a)
{
	struct server *v = arg;

	if (v->waiting != NULL)
		waiting_room(v->waiting, a == NULL ? NULL : ledger_name(a));
}

static void
call_answer(void *arg, void *question, const struct ledger_answer *a)
{
	struct server *v = arg;

	room_decided(&v->room, question, a);
}

static const struct ledger_calls calls = {
	.answer = call_answer,
	.count = looks_count,
	.probe = looks_probe,
	.save_account = keeping_save_account,
	.save_ticket = keeping_save_ticket,
	.remove_ticket = keeping_remove_ticket,
	.corrected = call_corrected,
	.look_up = call_look_up,
	.is_removed = call_is_removed,
	.remove_account = keeping_remove_account,
	.generation = call_generation,
	.removed_in = call_removed_in,
	.save_place = keeping_save_place,
	.save_promise = keeping_save_promise,
	.remove_promise = keeping_remove_promise,
	.promise = call_promise,
	.room = call_room,
};

/* --- mail that waits --------------------------------------------------------------- */

static int
may_release(void *arg)
{
	struct server *v = arg;

	return releaser_may(v->releaser);
}

static void
release(void *arg, const char *id)
{
	struct server *v = arg;

	releaser_send(v->releaser, id);
}

static void
released(void *arg, const char *id, int ok)
{
	struct server *v = arg;

	waiting_released(v->waiting, id, ok);
}

static int
open_waiting(struct server *v)
{
	static const struct waiting_calls waiting_calls = {may_release, release};

	v->releaser = releaser_new(
		v->base, (const char *const *)&v->conf.release_socket, released, v);
	v->waiting = waiting_new(&v->room, &waiting_calls, v);
	return v->releaser == NULL || v->waiting == NULL ? -1 : 0;
}

/* --- settings, again -------------------------------------------------------------- */

static void
warn_of_fixed(void *arg, const char *name)
{
	(void)arg;
	log_warning("%s was changed: that takes a restart", name);
}

void
server_reload(struct server *v)
{
	struct ledger_rules rules;
	struct reason why;
	struct conf new;

	if (conf_load(&new, v->conf_file, &why) == -1) {
		log_error("the old settings stay: %s", why.text);
		return;
	}
	if (clients_configure(v->clients, &new, &why) == -1 ||
		peers_configure(v->peers, &new, &why) == -1) {
		log_error("the old settings stay: %s", why.text);
		conf_free(&new);
		return;
	}
	conf_keep(&new, &v->conf, warn_of_fixed, NULL);
	conf_free(&v->conf);
	v->conf = new;
	senders_configure(v->senders, v->conf.blocked_senders);
	services_relist(v);
	listener_tell_lost(v->listener);
	server_rules(&v->conf, &rules);
	ledger_set_rules(v->ledger, &rules);
	ledger_table_changed(v->ledger);
	keeping_note_deadline(v);
	recount_schedule_set(v->schedule, v->conf.recount_every);
	log_info("settings read again");
}

/* --- the loop --------------------------------------------------------------------- */

/* A refusal waits until all that the owners of the mailbox's tickets have sent was read.
 */
static void
settle(struct server *v)
{
	v->owners_wait = 0;
	if (!ledger_wants_settling(v->ledger))
		return;
	connections_read_owners(v->connections);
	ledger_settle(v->ledger, connections_has_read, v->connections);
	v->owners_wait = ledger_wants_settling(v->ledger);
}

/* What the events of a pass have brought: worked off, committed, answered. */
static void
finish_pass(struct server *v)
{
	int committed;

	if (v->table != users_reload_number(v->users)) {
		v->table = users_reload_number(v->users);
		ledger_table_changed(v->ledger);
	}
	looks_tell_failures(v);
	v->zombies = zombies_reap();
	connections_work(v->connections);
	socketmap_go_on(&v->socketmap, clock_now_ms());
	waiting_tick(v->waiting, clock_now_ms());
	settle(v);
	timers_wake_ledger(&v->timers, ledger_tick(v->ledger, clock_now_ms()));
	committed = usage_commit(v->usage) == 0;
	if (committed)
		watchdog_finish(v);
	connections_flush(v->connections, committed);
}

static int
has_work(const struct server *v)
{
	return (ledger_wants_settling(v->ledger) && !v->owners_wait) ||
	       connections_are_busy(v->connections) || !SLIST_EMPTY(&v->failed_looks) ||
	       v->zombies;
}

int
server_run(struct server *v)
{
	systemd_notify(&v->systemd, "READY=1");
	while (!v->stop) {
		if (event_base_loop(v->base,
			    EVLOOP_ONCE | (has_work(v) ? EVLOOP_NONBLOCK : 0)) == -1)
			server_fail(v, "the event loop failed");
		finish_pass(v);
	}
	systemd_notify(&v->systemd, "STOPPING=1");
	listener_stop(v->listener);
	return v->failed ? -1 : 0;
}

/* --- life ------------------------------------------------------------------------- */

static int
open_ledger(struct server *v, const char *run_dir, struct reason *why)
{
	struct ledger_rules rules;

	server_rules(&v->conf, &rules);
	v->ledger = ledger_new(&calls, v, &rules, v->started_ms);
	if (v->ledger == NULL)
		return reason_set(why, "no memory");
	return keeping_open(v, run_dir, why);
}

static int
open_rooms(struct server *v, struct reason *why)
{
	reason_set(why, "the event loop could not be set up");
	v->room = (struct room){&v->conf, v->ledger, v->users};
	v->senders = senders_new();
	if (v->senders == NULL)
		return -1;
	senders_configure(v->senders, v->conf.blocked_senders);
	if (open_waiting(v) == -1)
		return -1;
	v->access =
		(struct access){&v->conf, &v->room, v->senders, v->waiting, v->clients};
	v->line = (struct line){
		&v->room, &v->access, v->usage, v->started_ms, v->scanner, v->waiting};
	v->policy = (struct policy){.access = &v->access,
		.conf = &v->conf,
		.clients = v->clients,
		.instances = policy_instances_new()};
	v->socketmap = (struct socketmap){.room = &v->room, .conf = &v->conf};
	v->peers = peers_new(v->group, v->users);
	if (v->peers == NULL || peers_configure(v->peers, &v->conf, why) == -1)
		return -1;
	v->connections = connections_new(v->base, v->ledger, v->peers, &v->conf);
	v->schedule = recount_schedule_new(v->base, v->users, looks_recount, v);
	if (v->connections == NULL || v->schedule == NULL)
		return -1;
	recount_schedule_set(v->schedule, v->conf.recount_every);
	return timers_start(&v->timers, v);
}

static void
accepted(void *arg, int fd, const struct service *service)
{
	struct server *v = arg;

	connections_accept(v->connections, fd, service);
}

/* The table is read through by a child while this process loads the store, since both
 * take their time; the store comes before all else that is shared with another quotad. */
int
server_open(struct server *v, const char *run_dir, struct reason *why)
{
	v->started_ms = clock_now_ms();
	v->base = event_base_new();
	if (v->base != NULL)
		v->users = users_reload_new(v->base, v->conf.users_db);
	v->clients = clients_new(); /* before promises are loaded */
	if (v->users == NULL || v->clients == NULL)
		return reason_set(why, "the event loop could not be set up");
	if (clients_configure(v->clients, &v->conf, why) == -1)
		return -1;
	if (open_ledger(v, run_dir, why) == -1)
		return -1;
	if (open_rooms(v, why) == -1)
		return -1;
	users_reload_wait(v->users);
	if (looks_attach(v) == -1 ||
		listener_start(v->listener, v->base, accepted, v) == -1)
		return reason_set(why, "no memory");
	return 0;
}

/* The scanner and the listener, which hold events of the loop, have been stopped and
 * ended. */
void
server_close(struct server *v)
{
	connections_free(&v->connections);
	waiting_free(&v->waiting);
	releaser_free(&v->releaser);
	policy_instances_free(&v->policy.instances);
	recount_schedule_free(&v->schedule);
	users_reload_free(&v->users);
	senders_free(&v->senders);
	usage_close(&v->usage);
	looks_free(v);
	ledger_free(&v->ledger);
	clients_free(&v->clients);
	peers_free(&v->peers);
	timers_free(&v->timers);
	if (v->base != NULL)
		event_base_free(v->base);
}
