/* The watchdog's round trip. */
#include "watchdog.h"

#include <inttypes.h>

#include "clock.h"
#include "log.h"
#include "server.h"

static void
on_pong(void *arg, int failed)
{
	struct server *v = arg;
	struct watchdog *w = &v->watchdog;

	w->is_out = w->was_slow = 0;
	if (failed)
		log_error("no heartbeat for systemd: the scanner does not answer");
	else if (usage_check_heartbeat(v->usage, w->number) == -1)
		log_error("no heartbeat for systemd: the usage store does not hold "
			  "what was put into it");
	else
		w->came_back = 1;
}

/* Once for each time that it hangs. */
static void
log_slowness(struct server *v)
{
	struct watchdog *w = &v->watchdog;

	if (!w->was_slow)
		log_warning("no heartbeat for systemd: the scanner has not answered "
			    "for %" PRIu64 " ms",
			clock_now_ms() - w->began_ms);
	w->was_slow = 1;
}

void
watchdog_begin(struct server *v)
{
	struct watchdog *w = &v->watchdog;

	if (w->is_out) {
		log_slowness(v);
		return;
	}
	if (usage_put_heartbeat(v->usage, ++w->number) == -1) {
		log_error("no heartbeat for systemd: the usage store can't be "
			  "written");
		return;
	}
	w->is_out = 1;
	w->began_ms = clock_now_ms();
	scanner_ping(v->scanner, on_pong, v);
}

void
watchdog_finish(struct server *v)
{
	if (v->watchdog.came_back)
		systemd_notify(&v->systemd, "WATCHDOG=1");
	v->watchdog.came_back = 0;
}
