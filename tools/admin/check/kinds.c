/* check: the table of what may be found. */
#include "kinds.h"

static const char *const severities[] = {"error", "warning", "note"};

static const struct check_kind_row kinds[CHECK_KINDS] = {
	[CHECK_SETTINGS] = {"settings", ERROR,
		"With bad settings lda defers all mail with 4.3.5, and quotad does not "
		"start."},
	[CHECK_SETTINGS_MODE] = {"settings-mode", ERROR,
		"lda reads the settings as the recipient, and no program takes those "
		"that somebody else can change."},
	[CHECK_TABLE_MISSING] = {"table-missing", ERROR,
		"Without a table lda defers all mail with 4.3.5."},
	[CHECK_TABLE_OWNER] = {"table-owner", ERROR,
		"A table that is not root's is not believed: all mail is deferred."},
	[CHECK_TABLE_MODE] = {"table-mode", ERROR,
		"lda must be able to read the table, and nobody but root to change it."},
	[CHECK_TABLE_REACH] = {"table-reach", ERROR,
		"lda, which runs as the recipient, can't reach the table and defers."},
	[CHECK_TABLE_DIRECTORY] = {"table-directory", ERROR,
		"Whoever can write to the table's directory can put another table "
		"there."},
	[CHECK_TABLE_DAMAGED] = {"table-damaged", ERROR,
		"From a damaged table no recipient is believed: mail is deferred."},
	[CHECK_TABLE_SUM] = {"table-sum", WARNING,
		"Without the number and the sum of its records a table does not show "
		"every damage."},
	[CHECK_TABLE_EMPTY] = {"table-empty", ERROR,
		"With an empty table all mail is deferred with 4.3.5."},
	[CHECK_RECIPIENT] = {"recipient", ERROR,
		"Mail for this address does not reach a mailbox."},
	[CHECK_RECORD] = {"record", ERROR,
		"lda refuses a record that makes no sense, and defers with 4.3.5."},
	[CHECK_ADDRESS] = {"address", WARNING,
		"No MTA delivers to such an address: mail for the one that was meant may "
		"bounce."},
	[CHECK_ADDRESS_OLDER] = {"address-older", WARNING,
		"Postfix takes other capital letters, and the other form of a domain, "
		"for "
		"the same address; lda finds these only as they are written."},
	[CHECK_MAILBOX_MISSING] = {"mailbox-missing", ERROR,
		"lda makes a mailbox only where its parent is the recipient's own, and "
		"defers otherwise."},
	[CHECK_MAILBOX_UNMOUNTED] = {"mailbox-unmounted", ERROR,
		"A new mailbox would hide its mail under the mount point: lda defers "
		"until it is back."},
	[CHECK_MAILBOX_ELSEWHERE] = {"mailbox-elsewhere", ERROR,
		"Of what quotad does not see nothing can be counted: lda defers all that "
		"has a limit."},
	[CHECK_MAILBOX_OWNER] = {"mailbox-owner", ERROR,
		"lda defers with 4.3.5 where the mailbox is not the recipient's own."},
	[CHECK_MAILBOX_MODE] = {"mailbox-mode", ERROR,
		"lda defers with 4.3.5 where others may write to the mailbox, or its "
		"owner may not."},
	[CHECK_MAILBOX_WAY] = {"mailbox-way", ERROR,
		"lda, which runs as the recipient, can't get to the mailbox, and "
		"defers."},
	[CHECK_MAILBOX_LINK] = {"mailbox-link", ERROR,
		"A link that anybody but root can change is not followed on the way to a "
		"mailbox, and none in it: lda defers."},
	[CHECK_MAILBOX_OPEN] = {"mailbox-open", ERROR,
		"What can't be opened can't be delivered to: lda defers."},
	[CHECK_MAILBOX_SHARED] = {"mailbox-shared", ERROR,
		"Two mailboxes in one directory are each charged with the mail of both, "
		"and it passes their limits."},
	[CHECK_MAILBOX_COUNT] = {"mailbox-count", ERROR,
		"Where a limit can't be held, since nothing can be counted, lda defers."},
	[CHECK_MAILBOX_NOT_COUNTED] = {"mailbox-not-counted", WARNING,
		"No link is followed in a mailbox: what is behind it is not part of its "
		"size."},
	[CHECK_PROBE] = {"probe", NOTE,
		"These are a delivery's own calls, tried as the recipient."},
	[CHECK_PROBE_FAILED] = {"probe-failed", ERROR,
		"Where a delivery's own calls fail lda defers."},
	[CHECK_PROBE_QUOTA] = {"probe-disk-quota", ERROR,
		"Beyond the owner's disk quota lda defers with 4.2.2, whatever room the "
		"mailbox has."},
	[CHECK_PROBE_LEFT] = {"probe-left", WARNING,
		"It counts as no message, but takes room."},
	[CHECK_PROBE_REMOVED] = {"probe-removed", NOTE,
		"It counted as no message, but took room."},
	[CHECK_DISK_KIND] = {"disk-kind", NOTE,
		"Not every file system has all that a delivery and a count do best "
		"with."},
	[CHECK_DISK_READ_ONLY] = {"disk-read-only", ERROR,
		"Nothing can be delivered to a file system that is read-only."},
	[CHECK_DISK_ROOM] = {"disk-room", WARNING,
		"On a full disk lda defers all mail with 4.3.1."},
	[CHECK_DISK_INODES] = {"disk-inodes", WARNING,
		"Each message is a file: without inodes lda defers all mail with 4.3.1."},
	[CHECK_DAEMON_USER] = {"daemon-user", ERROR,
		"quotad does not start without the user that it becomes."},
	[CHECK_USAGE_OWNER] = {"usage-owner", ERROR,
		"Without its store quotad counts in memory, and each start costs a count "
		"of every mailbox."},
	[CHECK_LOCAL_DOMAIN] = {"local-domain", ERROR,
		"No mail has such a domain: that for the one that was meant is deferred "
		"with 4.3.5 until it bounces."},
	[CHECK_TRUSTED_USER] = {"trusted-user", WARNING,
		"A user of that name made later could ask about every mailbox."},
	[CHECK_BLOCKED_SENDERS] = {"blocked-senders", ERROR,
		"quotad keeps the list that it has read before, and blocks nobody where "
		"there is none."},
	[CHECK_BLOCKED_OWN] = {"blocked-own", WARNING,
		"Mail that they send themselves is refused for good, to others of the "
		"table."},
	[CHECK_QUOTAD_DOWN] = {"quotad-down", ERROR,
		"Without quotad lda defers, or with quotad_down = deliver keeps no "
		"limit."},
	[CHECK_QUOTAD_STRANGER] = {"quotad-stranger", ERROR,
		"lda believes root and daemon_user alone, and defers."},
	[CHECK_SCAN_AS] = {"scan-as", WARNING,
		"Of a mailbox that can't be read nothing is known: mail that needs a "
		"count waits."},
	[CHECK_QUOTAD_TABLE] = {"quotad-table", ERROR,
		"Where quotad's table is not lda's, new users are deferred and old "
		"limits "
		"hold."},
	[CHECK_RELEASE_DOWN] = {"release-down", WARNING,
		"Mail that waits for room comes when Postfix tries again by itself, up "
		"to "
		"hours after there is some, in no order."},
	[CHECK_RELEASE_POSTQUEUE] = {"release-postqueue", WARNING,
		"brim-release has Postfix deliver what waits by that program."},
	[CHECK_SOCKET_REACH] = {"socket-reach", ERROR,
		"lda, which runs as the recipient, can't ask quotad, and defers."},
	[CHECK_ACCOUNTS] = {"accounts", WARNING,
		"Mail for an account without a record bounces: no such user."},
	[CHECK_ACCOUNT_OWNER] = {"account-owner", ERROR,
		"Postfix runs lda as the account; where the record has another uid lda "
		"defers with 4.3.5."},
	[CHECK_ROOT_MAIL] = {"root-mail", ERROR,
		"Postfix delivers root's mail as nobody, for whom there is no mailbox."},
	[CHECK_ALIASES_OLD] = {"aliases-old", WARNING,
		"Postfix reads the compiled aliases, which are older than their text."},
	[CHECK_POSTFIX] = {"postfix", ERROR,
		"Postfix can't work with settings that its own postconf can't read."},
	[CHECK_INSTANCE] = {"postfix-instance", NOTE,
		"Each instance has settings of its own, and nothing here is said of "
		"those."},
	[CHECK_LDA_PATH] = {"lda-path", ERROR,
		"A command that Postfix can't run is a delivery that fails, and may "
		"bounce."},
	[CHECK_LDA_CAPABILITIES] = {"lda-capabilities", ERROR,
		"Without its file capabilities lda-virtual can't become the recipient; "
		"with a wider mode others could use them."},
	[CHECK_LDA_NOSUID] = {"lda-nosuid", ERROR,
		"On a nosuid file system file capabilities mean nothing, and lda-virtual "
		"defers."},
	[CHECK_LDA_CONF] = {"lda-conf", ERROR,
		"lda defers all mail with 4.3.5 where it can't read the settings that it "
		"is told to read."},
	[CHECK_LDA_CONF_OTHER] = {"lda-conf-other", WARNING,
		"What is found here is about other users, or another quotad, than those "
		"of that delivery."},
	[CHECK_LDA_ARGUMENTS] = {"lda-arguments", ERROR,
		"lda delivers nothing with an argument that it does not know: all mail "
		"waits, and "
		"bounces in the end."},
	[CHECK_PIPE_USER] = {"pipe-user", ERROR,
		"pipe(8) defers all mail where its user does not exist."},
	[CHECK_PIPE_TRUST] = {"pipe-trust", WARNING,
		"One user that delivers for many mailboxes soon has more connections "
		"than "
		"an ordinary user may: mail is deferred."},
	[CHECK_PIPE_OWNER] = {"pipe-owner", ERROR,
		"lda delivers to the mailboxes of the user that runs it, and defers with "
		"4.3.5 for those of another."},
	[CHECK_PIPE_COLUMNS] = {"pipe-columns", ERROR,
		"Without root's rights pipe(8) and local(8) can't become another user, "
		"and in a chroot without lda, or a directory that is none, they run "
		"nothing: mail waits."},
	[CHECK_PIPE_RECIPIENTS] = {"pipe-recipients", ERROR,
		"One exit status can't speak for many recipients: lda defers with "
		"4.3.5."},
	[CHECK_PIPE_ARGUMENTS] = {"pipe-arguments", ERROR,
		"A name that is not the recipient's whole address, as it is, is nobody's "
		"or another's: mail is deferred, or bounces."},
	[CHECK_PIPE_NULL_SENDER] = {"pipe-null-sender", WARNING,
		"Without null_sender= the sender of a bounce is MAILER-DAEMON, which "
		"vacation programs answer (RFC 5321 section 6.1)."},
	[CHECK_PIPE_FLAGS] = {"pipe-flags", ERROR,
		"Lines that pipe(8) changes stay so, and a signature of the message is "
		"broken; at what it does not know it ends, and mail waits."},
	[CHECK_PIPE_SIZE] = {"pipe-size", WARNING,
		"Postfix takes messages that its own pipe(8) then bounces."},
	[CHECK_DELIMITER] = {"postfix-delimiter", ERROR,
		"An extension that Postfix takes off, and Brim does not, is mail for a "
		"user that nobody is."},
	[CHECK_NAME_CUT] = {"postfix-name-cut", ERROR,
		"Postfix takes what is behind such a byte for an extension: mail for the "
		"mailbox goes to the one of the shorter name, or bounces."},
	[CHECK_DOMAIN] = {"postfix-domain", ERROR,
		"Mail for a domain that Brim does not know is deferred with 4.3.5 until "
		"it bounces; for accounts that it does not know it bounces."},
	[CHECK_DOMAIN_ELSEWHERE] = {"postfix-domain-elsewhere", WARNING,
		"Mail for it does not come to lda: Postfix refuses it, or delivers it "
		"elsewhere."},
	[CHECK_RECIPIENT_UNLISTED] = {"postfix-recipient-unlisted", ERROR,
		"Postfix refuses mail for an address that its tables don't have: User "
		"unknown (550 5.1.1)."},
	[CHECK_RECIPIENT_NOBODY] = {"postfix-recipient-nobody", ERROR,
		"Postfix accepts mail for it, and lda bounces what nobody has (5.1.1)."},
	[CHECK_BEFORE_COMMAND] = {"postfix-before-command", WARNING,
		"What goes before mailbox_command delivers without Brim, past its "
		"limits."},
	[CHECK_DEFER_TRANSPORTS] = {"postfix-defer-transports", ERROR,
		"Postfix tries no delivery by such a transport until somebody flushes "
		"the "
		"queue: mail waits until it bounces."},
	[CHECK_SERVICE_DISABLED] = {"postfix-service-disabled", ERROR,
		"Postfix starts no such service, and mail waits for it."},
	[CHECK_TRANSPORT_ERROR] = {"postfix-transport-error", ERROR,
		"Mail for these mailboxes is bounced, dropped or never tried."},
	[CHECK_DEFAULT_TRANSPORT] = {"postfix-default-transport", NOTE,
		"Reports to senders elsewhere can't be delivered: who wrote to a full "
		"mailbox hears nothing."},
	[CHECK_FILE_LIMIT] = {"postfix-file-limit", ERROR,
		"Postfix makes mailbox_size_limit a limit for every file that a delivery "
		"writes: larger messages are deferred until they bounce."},
	[CHECK_TIME_LIMIT] = {"postfix-time-limit", ERROR,
		"Postfix kills a command at its time limit and bounces the message; lda "
		"must give up before."},
	[CHECK_SHELL] = {"postfix-shell", ERROR,
		"Run through a shell a killed lda bounces the message, where Postfix "
		"would defer it."},
	[CHECK_QUEUE_LIFETIME] = {"postfix-queue-lifetime", WARNING,
		"Postfix bounces a deferred message before over_quota has passed, as one "
		"that could not be delivered in time."},
	[CHECK_QUEUE_SHORT] = {"postfix-queue-short", WARNING,
		"What is put off until quotad runs, or a disk is back, bounces before "
		"somebody has repaired it."},
	[CHECK_DELAY_WARNING] = {"postfix-delay-warning", WARNING,
		"While a mailbox is full its senders hear nothing for days."},
	[CHECK_BOUNCE_LIFETIME] = {"postfix-bounce-lifetime", NOTE,
		"A report to a sender whose own mailbox is full here is dropped before "
		"over_quota has passed."},
	[CHECK_SOFT_BOUNCE] = {"postfix-soft-bounce", WARNING,
		"Postfix makes \"try again\" of every refusal: nothing bounces, and what "
		"a mailbox will never take waits until its time in the queue is over."},
	[CHECK_STATUS_FILTER] = {"postfix-status-filter", ERROR,
		"Postfix bounces what Brim would take later, or tries again what it "
		"never will."},
	[CHECK_BOUNCE_SERVICE] = {"postfix-bounce-service", ERROR,
		"No sender hears of mail that is late or was not delivered."},
	[CHECK_NOTICES] = {"postfix-notices", WARNING,
		"What Postfix tells its postmaster is dropped, and so is mail of others "
		"to it (RFC 5321, 4.5.1)."},
	[CHECK_NO_NEW_PRIVILEGES] = {"postfix-no-new-privileges", ERROR,
		"With NoNewPrivileges= file capabilities mean nothing, and lda-virtual "
		"defers."},
	[CHECK_LOCAL_RECIPIENTS] = {"postfix-local-recipients", WARNING,
		"Postfix takes mail for unknown users of this host and must bounce it to "
		"senders that may be forged."},
	[CHECK_MESSAGE_SIZE] = {"postfix-message-size", WARNING,
		"Postfix takes messages that lda must bounce with 5.2.3, where it could "
		"refuse them."},
	[CHECK_POLICY_REACH] = {"policy-reach", ERROR,
		"What Postfix can't ask does not answer: full and unknown mailboxes are "
		"bounced later, or all mail waits."},
	[CHECK_POLICY_ORDER] = {"policy-order", WARNING,
		"Whatever a policy service lets pass before reject_unauth_destination is "
		"relayed, and strangers ask about addresses that are not here."},
	[CHECK_POLICY_DOWN] = {"policy-down", WARNING,
		"While quotad is down or hangs no mail is taken, where the delivery "
		"could "
		"judge it later."},
	[CHECK_POLICY_SIZE] = {"policy-size", NOTE,
		"At RCPT only the size that the client announces is known, if any, and "
		"no room is kept: mail that was accepted may find a full mailbox."},
	[CHECK_POLICY_TWICE] = {"policy-twice", WARNING,
		"Each recipient is asked about twice, with one answer."},
	[CHECK_POLICY_AGAIN] = {"policy-again", WARNING,
		"Postfix has taken the mail already: a refusal there is a bounce, and "
		"room is kept twice."},
	[CHECK_POLICY_UNKNOWN] = {"policy-unknown", WARNING,
		"Postfix asks before it rewrites an address: one that its own table "
		"alone knows is refused as unknown."},
	[CHECK_POLICY_UNUSED] = {"policy-unused", WARNING,
		"Mail that Brim will not take is refused at its delivery alone, and "
		"bounces."},
	[CHECK_POLICY_USERS] = {"policy-users", WARNING,
		"No room is kept for what the policy service passes: mail that was "
		"accepted may find a full mailbox."},
	[CHECK_MAP_REACH] = {"map-reach", ERROR,
		"Without an answer Postfix takes no mail for these addresses: 451, "
		"Temporary lookup failure."},
	[CHECK_MAP_NAME] = {"map-name", ERROR,
		"Of another map the answer means something else, or is an error: mail "
		"waits, or goes astray."},
	[CHECK_MAP_TWICE] = {"map-twice", WARNING,
		"Each unknown address is looked up twice."},
	[CHECK_MAP_ALIASES] = {"map-aliases", WARNING,
		"Mail for an alias, such as postmaster, is refused as for an unknown "
		"user."},
	[CHECK_MAP_DOWN] = {"map-down", NOTE,
		"While quotad is down Postfix answers 451 to mail for these addresses: "
		"senders try again, and nothing is lost."},
	[CHECK_MAP_UNUSED] = {"map-unused", WARNING,
		"quotad answers there, and nobody asks."},
};

const struct check_kind_row *
check_kind_row(enum check_kind kind)
{
	return &kinds[kind];
}

const char *
check_severity_name(enum check_severity severity)
{
	return severities[severity];
}
