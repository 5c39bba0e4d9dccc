/* Signals and timers: one table, a row each. */
#include "timers.h"

#include <signal.h>

#include "clock.h"
#include "log.h"
#include "server.h"
#include "wire/connection.h"

#define LOOK_MS   250 /* at the user table */
#define SECOND_MS 1000
#define SWEEP_MS  5000

static void
on_stop(int signal, short what, void *arg)
{
	struct server *v = arg;

	(void)what;
	log_info("stopping on signal %d", signal);
	v->stop = 1;
}

static void
on_reload(int signal, short what, void *arg)
{
	(void)signal;
	(void)what;
	server_reload(arg);
}

static void
on_look(int fd, short what, void *arg)
{
	struct server *v = arg;

	(void)fd;
	(void)what;
	users_reload_look(v->users);
}

static void
on_second(int fd, short what, void *arg)
{
	struct server *v = arg;

	(void)fd;
	(void)what;
	log_next_second();
	usage_tick(v->usage, clock_now_ms());
}

static void
on_sweep(int fd, short what, void *arg)
{
	struct server *v = arg;

	(void)fd;
	(void)what;
	connections_sweep(v->connections, clock_now_ms());
	listener_tell_lost(v->listener);
}

static void
on_watchdog(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	watchdog_begin(arg);
}

/* The pass that follows is all there is to do. */
static void
on_ledger_due(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

enum { LEDGER_DUE = 0 }; /* its place in the table */

static const struct {
	int signal;        /* 0: a timer */
	uint64_t every_ms; /* 0: it is set elsewhere */
	void (*happened)(int fd, short what, void *arg);
} rows[TIMERS_EVENTS] = {
	[LEDGER_DUE] = {0, 0, on_ledger_due},
	{SIGTERM, 0, on_stop},
	{SIGINT, 0, on_stop},
	{SIGHUP, 0, on_reload},
	{0, LOOK_MS, on_look},
	{0, SECOND_MS, on_second},
	{0, SWEEP_MS, on_sweep},
	{0, 0, on_watchdog},
};

static struct timeval
interval(uint64_t ms)
{
	return (struct timeval){.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000)};
}

static int
start_row(struct timers *t, struct server *v, size_t i)
{
	uint64_t ms = rows[i].happened == on_watchdog ? v->systemd.watchdog_ms / 3
						      : rows[i].every_ms;
	struct timeval wait = interval(ms);
	int signal = rows[i].signal;

	t->events[i] = event_new(v->base, signal ? signal : -1,
		EV_PERSIST | (signal ? EV_SIGNAL : 0), rows[i].happened, v);
	if (t->events[i] == NULL)
		return -1;
	if (signal == 0 && ms == 0)
		return 0;
	return event_add(t->events[i], signal ? NULL : &wait);
}

int
timers_start(struct timers *t, struct server *v)
{
	for (size_t i = 0; i < TIMERS_EVENTS; i++)
		if (start_row(t, v, i) == -1)
			return -1;
	return 0;
}

void
timers_free(struct timers *t)
{
	for (size_t i = 0; i < TIMERS_EVENTS; i++) {
		if (t->events[i] != NULL)
			event_free(t->events[i]);
		t->events[i] = NULL;
	}
}

void
timers_wake_ledger(struct timers *t, uint64_t ms)
{
	struct timeval wait = interval(ms);

	event_add(t->events[LEDGER_DUE], &wait);
}
