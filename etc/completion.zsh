#compdef brimadm brimq
# zsh completion of brimadm and brimq. A test holds it against what the programs take.

_brimadm_fields()
{
	case $PREFIX in
	over_quota=*) compset -P '*='; compadd -- defer bounce ;;
	smtp_full=*) compset -P '*='; compadd -- refuse wait ;;
	state=*) compset -P '*='; compadd -- enabled disabled suspended moved ;;
	mail=*) compset -P '*='; _files ;;
	*=*) ;;
	*) compadd -S '' -- uid= gid= mail= quota= messages= over_quota= \
		smtp_full= send_quota= login= state= moved_to= alias= catchall= ;;
	esac
}

_brimadm()
{
	local state line
	local -A opt_args
	local -a known=(
		'init:make an empty user table'
		'add:add a mailbox or, with @DOMAIN, a domain'
		'set:change fields; an empty VALUE removes one'
		'remove:remove a record; the mail stays'
		'show:show a record'
		'list:list records, all or those that match, as *@example.org'
		'alias:lead an address, or all of @DOMAIN, to another'
		'enable:let the mailbox take mail again'
		'disable:bounce mail for the mailbox'
		'suspend:let mail for the mailbox wait at the MTA'
		'move:bounce mail and tell the new address'
		'dump:print the table as lines that load reads'
		'load:put the records of a dump into the table, or in its place'
		'apply:run many changes, one a line, as one change'
		'import-passwd:add a mailbox for each account of /etc/passwd'
		"import-postfix:add what Postfix's virtual maps hold"
		"import-postfixadmin:add what postfixadmin's tables hold, as CSV"
		'check:find what could make a delivery fail, and its repair'
		"postfix:show, make or take back Postfix's settings for Brim"
		'simulate:show what a delivery would do, without one'
		"explain:show where a mailbox's usage comes from"
		'trace:show what the log says became of a message'
		'recount:count a mailbox anew'
		'config:print all settings'
	)

	_arguments -C \
		'--json[print JSON]' \
		'--replace[of load: remove all other records]' \
		'--dry-run[show what would change, and change nothing]' \
		'--force[of load --replace: remove more than a tenth of the records]' \
		'--interval[of apply: publish as the lines come, at most so often]:TIME: ' \
		'--min-uid[of import-passwd: leave out lower ones (1000)]:UID: ' \
		'--transport[of postfix: mailbox_command, pipe or virtual]:TRANSPORT:(mailbox_command pipe virtual)' \
		'--apply[of postfix: make the settings]' \
		'--undo[of postfix: take them back]' \
		"--size[of simulate: the message's size]:SIZE: " \
		'--sender[of simulate: the envelope sender]:SENDER: ' \
		'--stage[of simulate: rcpt, data, message, delivery or map]:STAGE:(rcpt data message delivery map)' \
		'--login[of simulate --stage: who has logged in to send]:NAME: ' \
		'--salvage[of dump: print what a damaged table still has]' \
		'--empty[of recount: its mail is gone on purpose]' \
		"--probe[of check: try a delivery's calls in the mailbox of ADDRESS]" \
		'--log[of trace: read LOG]:LOG:_files' \
		'(-c --config)'{-c,--config}'[read settings from FILE, not /etc/brim/brim.conf]:FILE:_files' \
		'(-h --help)'{-h,--help}'[print this, or what the command does]' \
		'1:command:->command' '*::argument:->argument'
	case $state in
	command) _describe command known ;;
	argument)
		case $words[1] in
		add|set) _brimadm_fields ;;
		load|apply|import-*) _files ;;
		postfix) compadd -- policy maps ;;
		esac ;;
	esac
}

_brimq()
{
	_arguments \
		'(-c --config)'{-c,--config}'[read settings from FILE, not /etc/brim/brim.conf]:FILE:_files' \
		'(-s --socket)'{-s,--socket}'[ask the quotad that listens there]:SOCKET:_files' \
		'--list[show all mailboxes, or those that match]' \
		'--domain[show the mailboxes of a domain]:DOMAIN: ' \
		'--over[show those that use more of their limit]:PERCENT: ' \
		'--sort[by used, percent, limit, messages or name]:KEY:(used percent limit messages name)' \
		'--top[show the first N alone, by used if not by --sort]:N: ' \
		'--watch=-[show it again and again]::SECONDS: ' \
		'--waiting[show for whom mail waits, and how much]' \
		'--recount[count the mailboxes anew]' \
		'--stats[show what quotad has done so far]' \
		'--raw[send the request and print the answer as it is]' \
		'--json[print JSON]' \
		'(-h --help)'{-h,--help}'[print this]' \
		'*:address: '
}

_$service "$@"
