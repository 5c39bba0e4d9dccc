/* The list of blocked senders, and the state of its file when it was looked at last. */
#include "senders.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "log.h"
#include "sender_list.h"

#define LOOK_MS 1000

/* Tells one state of a file from the next. */
struct state {
	int error; /* of stat; then it is all */
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified, changed;
};

struct senders {
	char *path;               /* NULL: none */
	struct sender_list *list; /* NULL: nobody is blocked */
	int is_known;
	struct state state;
	uint64_t looked_at;
};

struct senders *
senders_new(void)
{
	return calloc(1, sizeof(struct senders));
}

void
senders_free(struct senders **s)
{
	if (*s != NULL) {
		sender_list_free(&(*s)->list);
		free((*s)->path);
		free(*s);
	}
	*s = NULL;
}

static struct state
state_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return (struct state){.error = errno};
	return (struct state){.device = st.st_dev,
		.inode = st.st_ino,
		.size = st.st_size,
		.modified = st.st_mtim,
		.changed = st.st_ctim};
}

static int
is_same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static int
is_same(const struct state *a, const struct state *b)
{
	return a->error == b->error && a->device == b->device && a->inode == b->inode &&
	       a->size == b->size && is_same_time(a->modified, b->modified) &&
	       is_same_time(a->changed, b->changed);
}

static void
take(struct senders *s)
{
	struct reason why;
	struct sender_list *new = sender_list_read(s->path, &why);

	if (new == NULL) {
		log_error("blocked_senders: %s; %s", why.text,
			s->list != NULL ? "the list that was read before stays"
					: "nobody is blocked");
		return;
	}
	sender_list_free(&s->list);
	s->list = new;
	log_info("blocked_senders read, file=%s senders=%zu", s->path,
		sender_list_count(new));
}

/* The state is of before the file is read: what changes meanwhile is seen next time. */
static void
look(struct senders *s)
{
	const struct state now = state_of(s->path);

	s->looked_at = clock_now_ms();
	if (s->is_known && is_same(&s->state, &now))
		return;
	s->is_known = 1;
	s->state = now;
	take(s);
}

void
senders_configure(struct senders *s, const char *path)
{
	if (s->path == NULL || strcmp(s->path, path) != 0) {
		free(s->path);
		s->path = *path != '\0' ? strdup(path) : NULL;
		s->is_known = 0;
	}
	if (*path == '\0')
		sender_list_free(&s->list);
	if (s->path != NULL)
		look(s);
}

int
senders_refuse(struct senders *s, const char *sender, struct outcome *o)
{
	if (s->path != NULL && clock_now_ms() - s->looked_at >= LOOK_MS)
		look(s);
	if (s->list == NULL || sender == NULL || !sender_list_has(s->list, sender))
		return 0;
	outcome_set(o, VERDICT_REFUSED, "mail of this sender is not taken here");
	return 1;
}
