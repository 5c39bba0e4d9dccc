/* Children of this process, in a table. */
#include "forked.h"

#include <sys/wait.h>

#include "clock.h"

static struct forked_child table[FORKED_MAX];
static unsigned int count;

static void
forget(pid_t pid)
{
	for (unsigned int i = 0; i < count; i++)
		if (table[i].pid == pid) {
			table[i] = table[--count];
			return;
		}
}

void
forked_reap(void)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		forget(pid);
}

int
forked_may_begin(uint64_t mailbox, uint64_t uid, struct reason *why)
{
	uint64_t now = clock_now_ms();
	unsigned int stuck = 0;

	if (count == FORKED_MAX)
		return reason_set(why, "%d processes are at work or stuck", FORKED_MAX);
	for (unsigned int i = 0; i < count; i++) {
		if (now < table[i].over_ms)
			continue;
		if (table[i].mailbox == mailbox)
			return reason_set(why,
				"process %d, which looked at it, is stuck: its file "
				"system does not answer",
				(int)table[i].pid);
		stuck += table[i].uid == uid;
	}
	if (stuck >= STUCK_OF_USER)
		return reason_set(why, "%u processes for mailboxes of uid %ju are stuck",
			stuck, (uintmax_t)uid);
	return 0;
}

void
forked_note(const struct forked_child *child)
{
	if (count < FORKED_MAX)
		table[count++] = *child;
}

void
forked_forget_all(void)
{
	count = 0;
}
