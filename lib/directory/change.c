/* One change of the user table: begun, filled, checked, and made or thrown away. */
#include "change.h"

#include <grp.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "aliases.h"
#include "change_paths.h"
#include "change_removed.h"
#include "difference.h"
#include "mailbox.h"
#include "names.h"

/* What the change found under a key. */
struct before {
	char *key;
	struct record record; /* without a key: there was none */
};

struct change {
	const struct conf *conf;
	unsigned flags;
	struct users_edit *edit;
	struct users *old; /* the table as it is; NULL until it is asked for */
	/* since the last sound check: */
	int check_all;  /* any alias may be broken: a record is gone, a domain is new,
			 * many come, or an alias that others may have led past */
	char **touched; /* else: keys of records with an alias or a catch-all */
	size_t touched_count;
	struct before *before; /* in the order in which they changed */
	size_t before_count, before_room;
	struct change_paths paths;
	struct change_removed removed;
	int emptied; /* every record of the old table was taken out */
};

static enum change_result
no_memory(struct reason *why)
{
	reason_set(why, "no memory");
	return CHANGE_FAILED;
}

/* --- begin and end -------------------------------------------------------------- */

struct change *
change_begin(const struct conf *conf, unsigned flags, void (*waiting)(void),
	struct reason *why)
{
	struct change *c = calloc(1, sizeof *c);

	if (!c) {
		reason_set(why, "no memory");
		return NULL;
	}
	c->conf = conf;
	c->flags = flags;
	c->check_all = (flags & CHANGE_CHECK_ALL) != 0;
	c->paths.may_wait = (flags & CHANGE_PATHS_LATER) != 0;
	c->edit = users_edit_begin(
		conf->users_db, (flags & CHANGE_NEW_TABLE) != 0, waiting, why);
	if (!c->edit)
		change_abort(&c);
	return c;
}

/* The copy is sound: what was done up to here is neither checked again nor undone. */
static void
begin_anew(struct change *c)
{
	for (size_t i = 0; i < c->touched_count; i++)
		free(c->touched[i]);
	for (size_t i = 0; i < c->before_count; i++) {
		free(c->before[i].key);
		record_clear(&c->before[i].record);
	}
	change_paths_clear(&c->paths);
	c->removed.sound = c->removed.count;
	c->touched_count = c->before_count = 0;
	c->check_all = 0;
}

void
change_abort(struct change **change)
{
	struct change *c = *change;

	*change = NULL;
	if (!c)
		return;
	users_edit_abort(&c->edit);
	users_close(&c->old);
	begin_anew(c);
	change_removed_clear(&c->removed);
	free(c->touched);
	free(c->before);
	free(c);
}

static int
find_group(const struct conf *conf, gid_t *gid, struct reason *why)
{
	const char *name = conf->users_group;
	struct group *g = name[0] ? getgrnam(name) : NULL;

	*gid = g ? g->gr_gid : 0;
	if (name[0] && !g)
		return reason_set(why, "users_group: there is no group %s", name);
	return 0;
}

/* Of a table that is damaged it can't be told what is removed. */
static enum change_result
note_removed(struct change *c, struct reason *why)
{
	struct users *old = c->emptied ? change_table_before(c, why) : NULL;

	if (c->emptied && (!old || users_read_through(old, why)))
		return CHANGE_OK;
	return change_removed_settle(&c->removed, c->edit, old, why);
}

enum change_result
change_commit(struct change **change, struct change_made *made, struct reason *why)
{
	struct change *c = *change;
	struct change_made unused;
	enum change_result result = change_check_aliases(c, why);
	gid_t gid;

	if (!made)
		made = &unused;
	if (!result)
		result = note_removed(c, why);
	if (!result && (find_group(c->conf, &gid, why) ||
			       users_edit_generation(c->edit, &made->generation, why) ||
			       users_edit_commit(&c->edit, (mode_t)c->conf->users_mode,
				       gid, &made->table, why)))
		result = CHANGE_FAILED;
	change_abort(change);
	return result;
}

/* --- putting and removing ------------------------------------------------------- */

int
change_get(struct change *c, const char *key, struct record *r, struct reason *why)
{
	return users_edit_get(c->edit, key, r, why);
}

static int
get_edited(void *table, const char *key, struct record *r, struct reason *why)
{
	return users_edit_get(table, key, r, why);
}

static struct names_table
names_of(struct users_edit *edit)
{
	return (struct names_table){.get = get_edited, .table = edit};
}

enum change_result
change_name(struct change *c, char *key, const char *text, struct reason *why)
{
	struct names_table table = names_of(c->edit);

	return names_find(&table, key, text, why);
}

struct users *
change_table_before(struct change *c, struct reason *why)
{
	if (!c->old)
		c->old = users_open(c->conf->users_db, why);
	return c->old;
}

/* Keeps what was under the key, if it may be asked for; OLD is empty afterwards. */
static enum change_result
keep_before(struct change *c, const char *key, struct record *old, struct reason *why)
{
	struct before *b;

	if (!(c->flags & CHANGE_CAN_UNDO)) {
		record_clear(old);
		return CHANGE_OK;
	}
	if (c->before_count == c->before_room) {
		size_t room = c->before_room ? 2 * c->before_room : 64;

		b = reallocarray(c->before, room, sizeof *b);
		if (!b)
			return no_memory(why);
		c->before = b;
		c->before_room = room;
	}
	b = &c->before[c->before_count];
	b->key = strdup(key);
	if (!b->key)
		return no_memory(why);
	b->record = *old;
	*old = (struct record){0};
	c->before_count++;
	return CHANGE_OK;
}

/* Whether others may have led to the place of the new alias without meeting one there: to
 * a mailbox, past an extension, from a domain of this host to its bare name, or into the
 * domain that its own is an alias of. Their ways are longer now, or end elsewhere. */
static int
is_in_the_way(const struct change *c, const struct record *old, const struct record *r)
{
	struct record domain = {0};
	const char *at = address_domain_key(r->key);
	struct address a;
	int result;

	if (old->key)
		return mailbox_kind_of(old) == MAILBOX_KIND_MAILBOX;
	if (address_parse(&a, r->key, c->conf->recipient_delimiter, NULL) || a.extension)
		return 1;
	if (!at)
		return 0;
	result = mailbox_domain_is_local(c->conf, at + 1) ||
		 users_edit_get(c->edit, at, &domain, NULL) <= 0 ||
		 mailbox_kind_of(&domain) == MAILBOX_KIND_ALIAS_DOMAIN;
	record_clear(&domain);
	return result;
}

/* Where every alias will be checked, nothing need be remembered. */
static enum change_result
remember_alias(struct change *c, const struct record *old, const struct record *r,
	struct reason *why)
{
	char **grown;

	if (!c->check_all && (mailbox_kind_of(r) == MAILBOX_KIND_ALIAS_DOMAIN ||
				     (r->key[0] == '@' && !old->key) ||
				     (mailbox_kind_of(r) == MAILBOX_KIND_ALIAS &&
					     is_in_the_way(c, old, r))))
		c->check_all = 1;
	if (c->check_all || (!record_get(r, "alias") && !record_get(r, "catchall")))
		return CHANGE_OK;
	grown = reallocarray(c->touched, c->touched_count + 1, sizeof *grown);
	if (!grown)
		return no_memory(why);
	c->touched = grown;
	c->touched[c->touched_count] = strdup(r->key);
	if (!c->touched[c->touched_count])
		return no_memory(why);
	c->touched_count++;
	return CHANGE_OK;
}

static enum change_result
name_key(struct change *c, struct record *r, struct reason *why)
{
	const char *given = r->key ? r->key : "";
	char key[ADDRESS_MAX + 1];
	struct reason fault;
	enum change_result result = change_name(c, key, given, &fault);

	if (result)
		reason_set(why, "\"%.80s\": %.180s", given, fault.text);
	else if (strcmp(key, given) != 0 && record_set_key(r, key))
		return no_memory(why);
	return result;
}

/* What the table could not hold is the record's fault, not the table's. */
static enum change_result
check_length(const struct record *r, struct reason *why)
{
	size_t size = 3 * strlen(r->key); /* at most, with all bytes as %XX */
	char *line;
	int fits;

	for (size_t i = 0; i < r->count; i++)
		size += strlen(r->fields[i].name) + 3 * strlen(r->fields[i].value) + 2;
	if (size <= RECORD_LINE_MAX)
		return CHANGE_OK;
	line = record_format(r);
	if (!line)
		return no_memory(why);
	fits = strlen(line) <= RECORD_LINE_MAX;
	free(line);
	if (fits)
		return CHANGE_OK;
	reason_set(why, "the record of %.100s is longer than %d bytes", r->key,
		RECORD_LINE_MAX);
	return CHANGE_REFUSED;
}

/* What can be said of the record alone. What lda would refuse has no place in the table.
 */
static enum change_result
check_record(const struct change *c, const struct record *r, struct reason *why)
{
	struct mailbox m;

	if (mailbox_check_record(r, why))
		return CHANGE_REFUSED;
	if (mailbox_kind_of(r) == MAILBOX_KIND_MAILBOX) {
		if (mailbox_from_record(&m, r, NULL, c->conf, why))
			return CHANGE_REFUSED;
		mailbox_clear(&m);
	}
	return check_length(r, why);
}

/* A domain that came with its first mailbox may still get its own record. */
static enum change_result
check_once(const struct change *c, const struct record *old, struct reason *why)
{
	if (!(c->flags & CHANGE_EACH_ONCE) || !old->key ||
		(old->count == 0 && old->key[0] == '@'))
		return CHANGE_OK;
	reason_set(why, "%.100s stands twice", old->key);
	return CHANGE_REFUSED;
}

/* A domain is in the table from its first mailbox on. */
static enum change_result
put_domain(struct change *c, const struct record *r, struct reason *why)
{
	struct record domain, none = {0};
	struct names_table table = names_of(c->edit);
	char *at = address_domain_key(r->key);
	enum change_result result;
	int found;

	if (!at || mailbox_kind_of(r) != MAILBOX_KIND_MAILBOX)
		return CHANGE_OK;
	found = users_edit_get(c->edit, at, &domain, why);
	/* it must be none when the change is whole */
	if (found > 0 && mailbox_kind_of(&domain) == MAILBOX_KIND_ALIAS_DOMAIN)
		c->check_all = 1;
	record_clear(&domain);
	if (found)
		return found < 0 ? CHANGE_FAILED : CHANGE_OK;
	result = names_check_domain(&table, at, why);
	if (result)
		return result;
	/* an alias may lead into it, to an address that it has not */
	c->check_all = 1;
	if (users_edit_put(c->edit, &(struct record){.key = at}, why))
		return CHANGE_FAILED;
	return keep_before(c, at, &none, why);
}

/* Whether aliases of others may have led on by what the domain had, and has no more. */
static int
others_rest_on(const struct record *old, const struct record *r)
{
	return record_get(old, "alias")
		       ? old->key && old->key[0] == '@'
		       : record_get(old, "catchall") && !record_get(r, "catchall");
}

enum change_result
change_put(struct change *c, struct record *r, struct reason *why)
{
	struct record old = {0};
	enum change_result result = name_key(c, r, why);

	if (!result)
		result = check_record(c, r, why);
	if (!result && users_edit_get(c->edit, r->key, &old, why) < 0)
		result = CHANGE_FAILED;
	if (!result)
		result = check_once(c, &old, why);
	if (!result)
		result = change_paths_put(&c->paths, c->edit, &old, r, why);
	if (others_rest_on(&old, r))
		c->check_all = 1;
	if (!result)
		result = remember_alias(c, &old, r, why);
	if (!result)
		result = keep_before(c, r->key, &old, why);
	if (!result)
		result = put_domain(c, r, why);
	record_clear(&old);
	return result;
}

struct search {
	const char *domain; /* with its '@' */
	char found[ADDRESS_MAX + 1];
};

static int
lies_in_domain(void *arg, const struct record *r)
{
	struct search *s = arg;
	const char *at = address_domain_key(r->key);

	if (!at || at == r->key || strcmp(at, s->domain) != 0)
		return 0;
	strcpy(s->found, r->key);
	return 1;
}

static enum change_result
check_empty_domain(struct change *c, const char *key, struct reason *why)
{
	struct search s = {.domain = key};
	int found = users_edit_each(c->edit, "", lies_in_domain, &s, why);

	if (found < 0)
		return CHANGE_FAILED;
	if (!found)
		return CHANGE_OK;
	reason_set(why, "%.80s still has addresses, such as %.80s: remove them first",
		key, s.found);
	return CHANGE_REFUSED;
}

enum change_result
change_remove(struct change *c, const char *key, struct reason *why)
{
	struct record old;
	int found = users_edit_get(c->edit, key, &old, why);
	enum change_result result = CHANGE_OK;

	if (found < 0)
		return CHANGE_FAILED;
	if (!found) {
		reason_set(why, "%.100s is not in the table", key);
		return CHANGE_NO_RECORD;
	}
	if (old.key[0] == '@')
		result = check_empty_domain(c, key, why);
	if (!result && users_edit_remove(c->edit, key, why) < 0)
		result = CHANGE_FAILED;
	if (!result && change_removed_note(&c->removed, &old))
		result = no_memory(why);
	if (!result)
		result = keep_before(c, key, &old, why);
	if (!result)
		c->check_all = 1;
	record_clear(&old);
	return result;
}

enum change_result
change_empty(struct change *c, struct reason *why)
{
	begin_anew(c);
	c->check_all = c->emptied = 1;
	return users_edit_empty(c->edit, why) ? CHANGE_FAILED : CHANGE_OK;
}

/* --- the whole change ----------------------------------------------------------- */

/* The records themselves, then those that may lead to them. */
static enum change_result
check_touched(struct change *c, struct users *table, struct reason *why)
{
	enum change_result result = CHANGE_OK;
	int deep = 0;

	for (size_t i = 0; i < c->touched_count && !result; i++)
		result = aliases_check(table, c->conf, c->touched[i], &deep, why);
	if (result || !c->touched_count)
		return result;
	return deep ? aliases_check_all(table, c->conf, why)
		    : aliases_check_catchalls(table, c->conf, why);
}

enum change_result
change_check_paths(struct change *c, unsigned long *line, struct reason *why)
{
	return change_paths_settle(&c->paths, c->edit, line, why);
}

void
change_at(struct change *c, unsigned long line)
{
	c->paths.line = line;
}

enum change_result
change_check_aliases(struct change *c, struct reason *why)
{
	struct users *table = users_edit_table(c->edit, why);
	enum change_result result = change_check_paths(c, NULL, why);

	if (!table)
		return CHANGE_FAILED;
	if (result)
		return result;
	if (c->check_all)
		result = aliases_check_all(table, c->conf, why);
	else
		result = check_touched(c, table, why);
	if (!result)
		begin_anew(c);
	return result;
}

enum change_result
change_undo(struct change *c, struct reason *why)
{
	for (size_t i = c->before_count; i > 0; i--) {
		const struct before *b = &c->before[i - 1];

		if (b->record.key ? users_edit_put(c->edit, &b->record, why)
				  : users_edit_remove(c->edit, b->key, why) < 0)
			return CHANGE_FAILED;
	}
	change_removed_undo(&c->removed);
	begin_anew(c);
	return CHANGE_OK;
}

/* What is seen of the damaged table, and not in the new one. */
struct unseen {
	struct names_table new;
	uint64_t seen, missing;
};

static void
look_for(void *arg, const char *key)
{
	struct unseen *u = arg;

	u->seen++;
	u->missing += names_has(&u->new, key, NULL) != 1;
}

static int
look_for_record(void *arg, const struct record *r)
{
	look_for(arg, r->key);
	return 0;
}

/* What a damaged table says that it had; where it says nothing, what can be seen of it.
 */
static enum change_result
compare_damaged(struct change *c, struct change_counts *counts)
{
	uint64_t now = users_edit_records(c->edit),
		 had = users_edit_records_lost(c->edit);
	struct unseen u = {.new = names_of(c->edit)};
	const struct users_salvage to = {
		.each = look_for_record, .lost = look_for, .arg = &u};
	struct users_salvaged salvaged;

	*counts = (struct change_counts){
		.records = had, .removed = had > now ? had - now : 0};
	if (had == 0 && users_salvage(c->conf->users_db, &to, &salvaged, NULL) == 0)
		*counts = (struct change_counts){.records = u.seen, .removed = u.missing};
	return CHANGE_TABLE_DAMAGED;
}

enum change_result
change_difference(struct change *c,
	void (*each)(void *arg, const struct record *old, const struct record *new),
	void *arg, struct change_counts *counts, struct reason *why)
{
	struct users *old = change_table_before(c, why), *new;

	if (!old || users_read_through(old, why))
		return compare_damaged(c, counts);
	new = users_edit_table(c->edit, why);
	if (!new || difference_find(old, new, each, arg, counts, why))
		return CHANGE_FAILED;
	return CHANGE_OK;
}
