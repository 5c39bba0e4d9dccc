/* The store that is open, whatever its type. */
#include "store.h"

void
store_init(struct store *s)
{
	s->type = NULL;
	s->state = NULL;
	s->phase = STORE_IDLE;
	s->name[0] = '\0';
	s->bytes = 0;
	s->is_missing = 0;
	s->directory = 0;
	s->may_be_there = 0;
}

int
store_open(struct store *s, const struct mailbox *m, struct outcome *o)
{
	struct reason why;

	s->type = store_type_of(m->path, &why);
	if (s->type)
		return s->type->open(s, m->path, m->uid, o);
	outcome_set(o, VERDICT_MISCONFIGURED, "mail= of the mailbox: %s", why.text);
	return -1;
}

int
store_open_again(struct store *s, const struct mailbox *m)
{
	struct outcome o;

	store_close(s);
	return store_open(s, m, &o) == 0 && !s->is_missing;
}

int
store_begin(struct store *s, struct outcome *o)
{
	return s->type->begin(s, o);
}

int
store_write(struct store *s, const char *data, size_t length, struct outcome *o)
{
	return s->type->write(s, data, length, o);
}

int
store_choose_name(struct store *s, uint64_t bytes, struct outcome *o)
{
	return s->type->choose_name(s, bytes, o);
}

int
store_sync(struct store *s, struct outcome *o)
{
	return s->type->sync(s, o);
}

int
store_link(struct store *s, struct outcome *o)
{
	return s->type->link(s, o);
}

int
store_end_now(struct store *s)
{
	int phase = s->phase;

	if (phase == STORE_BEGUN)
		return s->type->end_now(s);
	return phase == STORE_STORED;
}

void
store_close(struct store *s)
{
	if (s->type)
		s->type->close(s);
	s->type = NULL;
}
