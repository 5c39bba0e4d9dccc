/* The loop: what it waits for, and in which order that is made and ended. */
#include "server.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "clients.h"
#include "log.h"

#define ACCEPTS       64 /* in a pass of the loop */
#define PAUSE_SECONDS 1  /* where no connection can be accepted */

enum { ACCEPT, RESUME, SECOND, TERM, INTERRUPT, EVENTS };

struct loop {
	struct event_base *base;
	struct clients *clients;
	struct event *events[EVENTS];
};

static void
on_connections(int listening, short what, void *arg)
{
	const struct timeval pause = {.tv_sec = PAUSE_SECONDS};
	struct loop *l = arg;

	(void)what;
	for (int i = 0; i < ACCEPTS; i++) {
		int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd != -1) {
			clients_accept(l->clients, fd);
			continue;
		}
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			log_warning("accept: %s; clients have to wait", strerror(errno));
			event_del(l->events[ACCEPT]);
			evtimer_add(l->events[RESUME], &pause);
		}
		break;
	}
}

static void
on_resume(int fd, short what, void *arg)
{
	struct loop *l = arg;

	(void)fd;
	(void)what;
	event_add(l->events[ACCEPT], NULL);
}

static void
on_second(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	log_next_second();
}

static void
on_signal(int signal, short what, void *arg)
{
	struct loop *l = arg;

	(void)what;
	log_info("stopping, signal=%d", signal);
	event_base_loopbreak(l->base);
}

static int
open_loop(struct loop *l, const struct server *s)
{
	const struct timeval second = {.tv_sec = 1};
	const short stays = EV_PERSIST;

	l->base = event_base_new();
	if (l->base == NULL)
		return -1;
	l->clients = clients_new(l->base, s->client, &s->postqueue);
	l->events[ACCEPT] =
		event_new(l->base, s->listening, EV_READ | EV_PERSIST, on_connections, l);
	l->events[RESUME] = evtimer_new(l->base, on_resume, l);
	l->events[SECOND] = event_new(l->base, -1, stays, on_second, l);
	l->events[TERM] = evsignal_new(l->base, SIGTERM, on_signal, l);
	l->events[INTERRUPT] = evsignal_new(l->base, SIGINT, on_signal, l);
	if (l->clients == NULL)
		return -1;
	for (size_t i = 0; i < EVENTS; i++)
		if (l->events[i] == NULL ||
			(i != RESUME && event_add(l->events[i],
						i == SECOND ? &second : NULL) == -1))
			return -1;
	return 0;
}

static void
close_loop(struct loop *l)
{
	for (size_t i = 0; i < EVENTS; i++)
		if (l->events[i] != NULL)
			event_free(l->events[i]);
	clients_free(&l->clients);
	if (l->base != NULL)
		event_base_free(l->base);
}

int
server_run(const struct server *s, struct reason *why)
{
	struct loop l = {0};
	int result = -1;

	if (open_loop(&l, s) == -1)
		reason_set(why, REASON_NO_MEMORY);
	else {
		systemd_notify(s->systemd, "READY=1");
		log_info("ready, version=%s postqueue=%s", BRIM_VERSION,
			s->postqueue.path);
		result = event_base_dispatch(l.base) == -1
				 ? reason_set(why, "the event loop failed")
				 : 0;
		systemd_notify(s->systemd, "STOPPING=1");
	}
	close_loop(&l);
	log_next_second();
	return result;
}
