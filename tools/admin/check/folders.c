/* check: what the mailbox holds that no count sees, or that no count can be made of. */
#include <string.h>

#include "check.h"
#include "folders.h"

/* lda refuses a mailbox whose own parts are links, which is another finding. */
static int
is_own_part(const char *link)
{
	return strcmp(link, "new") == 0 || strcmp(link, "cur") == 0;
}

static void
check_links(struct check *c, const struct mailbox *m, const struct folders *f)
{
	const char *first = NULL;
	size_t found = 0;

	for (size_t i = 0; i < f->link_count; i++) {
		const char *path = check_text(c, "%s%s", m->path, f->links[i]);

		if (is_own_part(f->links[i]) ||
			!probe_leads_to_directory(&c->probe, path))
			continue;
		first = found++ ? first : path;
	}
	if (found)
		check_found(c, CHECK_MAILBOX_NOT_COUNTED, m->key,
			"Put a directory in the place of the link, or mount one there.",
			"%s is a link to a directory%s", first,
			found > 1 ? ", and it is not the only one" : "");
}

void
check_folders(struct check *c, const struct mailbox *m)
{
	struct folders f;
	struct reason why;

	if (folders_look(&f, m->path, c->a->conf.quota_ignore, &why)) {
		check_found(c, CHECK_MAILBOX_COUNT, m->key, check_look_at(c, m->path),
			"%s can't be counted: %s", m->path, why.text);
		return;
	}
	check_links(c, m, &f);
	folders_clear(&f);
}
