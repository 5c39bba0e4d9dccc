/* Missing folders, and files that killed deliveries have left. */
#include "tidy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "made.h"
#include "maildir.h"

#define UNUSED_SECONDS (36 * 60 * 60)

/* Of one delivery: on NFS each look is a question to the server. */
#define ENTRIES_MAX 2000
#define LOOKS_MAX   50

void
tidy_folders(int maildir, uid_t owner)
{
	static const char *const names[] = {"cur", "tmp"};
	struct stat st;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (fstatat(maildir, names[i], &st, AT_SYMLINK_NOFOLLOW) &&
			errno == ENOENT)
			made_directory(maildir, names[i], owner);
}

/* An access may be noted much later than it was, or never, so the change counts, too. */
static int
is_leftover(int dir, const char *name, uid_t owner)
{
	time_t unused = time(NULL) - UNUSED_SECONDS;
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       st.st_uid == owner && st.st_atime < unused && st.st_mtime < unused;
}

/* One that was linked to new/ by a delivery that was killed then has another name there.
 */
void
tidy_leftovers(int dir, const char *prefix, uid_t owner)
{
	DIR *d = dir < 0 ? NULL : fdopendir(dir);
	const size_t length = strlen(prefix);
	const struct dirent *entry;
	int looks = 0;

	if (!d) {
		if (dir >= 0)
			close(dir);
		return;
	}
	for (int i = 0; i < ENTRIES_MAX && looks < LOOKS_MAX && (entry = readdir(d)); i++)
		if (strncmp(entry->d_name, prefix, length) == 0 &&
			maildir_is_unfinished(entry->d_name + length)) {
			looks++;
			if (is_leftover(dir, entry->d_name, owner))
				unlinkat(dir, entry->d_name, 0);
		}
	closedir(d);
}
