#include "missing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "walk.h"

int
missing_on_disk(struct probe *p, const char *path)
{
	struct reason why;
	struct stat st;
	int dir, missing;

	if (!probe_answers(p, path))
		return 0;
	dir = walk_open(path, &why);
	if (dir < 0)
		return errno == ENOENT;
	missing = fstatat(dir, "new", &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
	close(dir);
	return missing;
}

static void
take_fields(struct missing_known *k, const struct record *fields)
{
	const char *directory = record_get(fields, "directory");
	uint64_t n;

	k->is_known |= record_number(fields, "known", 0, &n) == 0 && n;
	k->had_mail |= record_number(fields, "had_mail", 0, &n) == 0 && n;
	k->is_missing |= record_number(fields, "missing", 0, &n) == 0 && n;
	if (!directory)
		return;
	k->tells_directory = 1;
	k->directory = strtoull(directory, NULL, 16);
}

/* EXPLAIN leaves no trace; its first line has what the ledger holds. */
int
missing_ask(struct quota_client *q, const char *key, struct missing_known *k,
	struct reason *why)
{
	char *word = record_escape(key);
	struct quota_answer a;
	enum quota_kind kind;
	int sent = word ? quota_send(q, why, "EXPLAIN %s 0", word)
			: reason_set(why, "no memory");

	memset(k, 0, sizeof *k);
	free(word);
	if (sent)
		return -1;
	do {
		if (quota_receive(q, &a, why))
			return -1;
		kind = a.kind;
		if (kind == QUOTA_MORE)
			take_fields(k, &a.fields);
		quota_answer_clear(&a);
	} while (kind == QUOTA_MORE);
	return 0;
}

int
missing_had_mail(struct quota_client *q, const char *key, struct reason *why)
{
	struct missing_known k;

	return missing_ask(q, key, &k, why) ? -1 : k.had_mail;
}
