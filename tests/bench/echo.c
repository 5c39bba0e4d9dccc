/*
 * The floor under every daemon of lines: a libevent server on a Unix socket that takes a
 * line and answers with a line of a given length, through bufferevents, and does nothing
 * else.
 *
 *	echo SOCKET LENGTH
 */
#include <err.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define LENGTH_MAX 4096

struct echo {
	struct event_base *base;
	char answer[LENGTH_MAX + 1];
	size_t length; /* line end included */
};

static void
answer(struct bufferevent *b, void *arg)
{
	struct echo *e = arg;
	struct evbuffer *in = bufferevent_get_input(b);
	char *line;

	while ((line = evbuffer_readln(in, NULL, EVBUFFER_EOL_LF)) != NULL) {
		bufferevent_write(b, e->answer, e->length);
		free(line);
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

int
main(int argc, char **argv)
{
	static struct echo e;
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	unsigned long length = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;

	if (length < 1 || length > LENGTH_MAX || strlen(argv[1]) >= sizeof at.sun_path)
		errx(2, "usage: echo SOCKET LENGTH");
	strcpy(at.sun_path, argv[1]);
	memset(e.answer, 'x', length);
	e.answer[length] = '\n';
	e.length = length + 1;
	e.base = event_base_new();
	if (e.base == NULL ||
		evconnlistener_new_bind(e.base, welcome, &e, LEV_OPT_CLOSE_ON_FREE, -1,
			(struct sockaddr *)&at, sizeof at) == NULL)
		err(1, "%s", argv[1]);
	return event_base_dispatch(e.base) != 0;
}
