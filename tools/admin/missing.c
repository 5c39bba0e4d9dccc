#include "missing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
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

/* EXPLAIN leaves no trace; its first line has what the ledger holds. */
int
missing_had_mail(struct quota_client *q, const char *key, struct reason *why)
{
	char *word = record_escape(key);
	struct quota_answer a;
	enum quota_kind kind;
	uint64_t had, any = 0;
	int sent = word ? quota_send(q, why, "EXPLAIN %s 0", word)
			: reason_set(why, "no memory");

	free(word);
	if (sent)
		return -1;
	do {
		if (quota_receive(q, &a, why))
			return -1;
		kind = a.kind;
		any |= kind == QUOTA_MORE &&
		       record_number(&a.fields, "had_mail", 0, &had) == 0 && had;
		quota_answer_clear(&a);
	} while (kind == QUOTA_MORE);
	return any != 0;
}
