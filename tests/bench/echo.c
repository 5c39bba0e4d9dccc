/*
 * The floor under every daemon on libevent: a server on a Unix socket that finds the end
 *of a request and answers each with the same bytes, through bufferevents, and does
 *nothing else.
 *
 *	echo SOCKET LENGTH	lines, with a line of that length
 *	echo SOCKET policy	requests of Postfix's policy protocol, with DUNNO
 *	echo SOCKET map		netstrings of socketmap, with OK
 */
#include <err.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#define LENGTH_MAX 4096

struct echo {
	struct event_base *base;
	const char *end; /* of a request */
	char answer[LENGTH_MAX + 1];
	size_t length; /* line end included */
};

static void
answer(struct bufferevent *b, void *arg)
{
	struct echo *e = arg;
	struct evbuffer *in = bufferevent_get_input(b);
	size_t size = strlen(e->end);
	struct evbuffer_ptr end;

	while ((end = evbuffer_search(in, e->end, size, NULL)).pos != -1) {
		bufferevent_write(b, e->answer, e->length);
		evbuffer_drain(in, (size_t)end.pos + size);
	}
}

static void
hang_up(struct bufferevent *b, short what, void *arg)
{
	(void)what;
	(void)arg;
	bufferevent_free(b);
}

static void
welcome(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from, int size,
	void *arg)
{
	struct echo *e = arg;
	struct bufferevent *b =
		bufferevent_socket_new(e->base, fd, BEV_OPT_CLOSE_ON_FREE);

	(void)l;
	(void)from;
	(void)size;
	if (b == NULL)
		errx(1, "no memory");
	bufferevent_setcb(b, answer, NULL, hang_up, e);
	bufferevent_enable(b, EV_READ | EV_WRITE);
}

static void
set_answer(struct echo *e, const char *end, const char *answer)
{
	e->end = end;
	e->length = strlen(strcpy(e->answer, answer));
}

static void
set_kind(struct echo *e, const char *kind)
{
	unsigned long length = strtoul(kind, NULL, 10);

	if (strcmp(kind, "policy") == 0) {
		set_answer(e, "\n\n", "action=DUNNO\n\n");
	} else if (strcmp(kind, "map") == 0) {
		set_answer(e, ",", "19:OK u1@bench.test/xx,");
	} else if (length >= 1 && length < LENGTH_MAX) {
		e->end = "\n";
		memset(e->answer, 'x', length);
		e->answer[length] = '\n';
		e->length = length + 1;
	} else {
		errx(2, "usage: echo SOCKET LENGTH|policy|map");
	}
}

int
main(int argc, char **argv)
{
	static struct echo e;
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	if (argc != 3 || strlen(argv[1]) >= sizeof at.sun_path)
		errx(2, "usage: echo SOCKET LENGTH|policy|map");
	strcpy(at.sun_path, argv[1]);
	set_kind(&e, argv[2]);
	umask(0);
	e.base = event_base_new();
	if (e.base == NULL ||
		evconnlistener_new_bind(e.base, welcome, &e, LEV_OPT_CLOSE_ON_FREE, -1,
			(struct sockaddr *)&at, sizeof at) == NULL)
		err(1, "%s", argv[1]);
	return event_base_dispatch(e.base) != 0;
}
