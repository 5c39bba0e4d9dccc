# bash completion of brimadm and brimq. A test holds it against what the programs take.

_brim_options()
{
	[[ $word == -* ]] && words=$1 files=
	COMPREPLY=($(compgen ${files:+-f} -W "$words" -- "$word"))
	[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
	return 0
}

# A value of FIELD=VALUE, which bash cuts at the =.
_brimadm_value()
{
	[[ $word == '=' ]] && word= || before=${COMP_WORDS[COMP_CWORD-2]}
	case $before in
	over_quota) words='defer bounce' ;;
	smtp_full) words='refuse wait' ;;
	state) words='enabled disabled suspended moved' ;;
	mail) COMPREPLY=($(compgen -f -- "$word")) ;;
	esac
	[[ $words ]] && COMPREPLY=($(compgen -W "$words" -- "$word"))
	return 0
}

_brimadm()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
	local command= words= options= files= i

	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--interval|--min-uid|--transport|--size|--sender|--stage|--login|--log|-c|--config)
			((i++)) ;;
		-*) ;;
		*) command=${COMP_WORDS[i]}; break ;;
		esac
	done
	case $before in
	-c|--config|--log) COMPREPLY=($(compgen -f -- "$word")); return ;;
	--transport) COMPREPLY=($(compgen -W 'mailbox_command pipe virtual' -- "$word")); return ;;
	--stage) COMPREPLY=($(compgen -W 'rcpt data message delivery map' -- "$word")); return ;;
	--interval|--min-uid|--size|--sender|--login) return ;;
	esac
	if [[ $word == '=' || $before == '=' ]]; then
		_brimadm_value
		return
	fi
	case $command in
	'')
		words='init add set remove show list alias enable disable suspend move dump'
		words+=' load apply import-passwd import-postfix import-postfixadmin'
		words+=' check postfix simulate explain trace recount config' ;;
	add|set)
		words='uid= gid= mail= quota= messages= over_quota= smtp_full= send_quota= login='
		words+=' state= moved_to= alias= catchall=' ;;
	show|list|explain|config) options=--json ;;
	check) options='--json --probe' ;;
	dump) options=--salvage ;;
	recount) options=--empty ;;
	trace) options=--log ;;
	load) options='--replace --dry-run --force' files=yes ;;
	apply) options='--dry-run --interval' files=yes ;;
	import-passwd) options='--dry-run --min-uid' files=yes ;;
	import-postfix|import-postfixadmin) options=--dry-run files=yes ;;
	postfix) options='--transport --apply --undo' words='policy maps' ;;
	simulate) options='--json --size --sender --stage --login' ;;
	esac
	_brim_options "$options -c --config -h --help"
}
complete -o filenames -F _brimadm brimadm

_brimq()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
	local words= files=

	COMPREPLY=()
	case $before in
	-c|--config|-s|--socket) COMPREPLY=($(compgen -f -- "$word")); return ;;
	--sort)
		COMPREPLY=($(compgen -W 'used percent limit messages name' -- "$word"))
		return ;;
	--domain|--over|--top) return ;;
	esac
	_brim_options "-c --config -s --socket --list --domain --over --sort --top --watch
		--waiting --recount --stats --raw --json -h --help"
}
complete -o filenames -F _brimq brimq
