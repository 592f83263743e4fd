# Shared by composed.bats and tables.bats: a composed draft a in $J.

# What submit is refused for: EBADMSG, and error says it.
refused() { # PART...
	local part
	same EBADMSG "$(errno_of_ctl a submit)" || return
	for part; do
		contains "$(cat "$J/error")" "$part" || return
	done
	state_is a DRAFT && same 0 "$(calls create)" && same 0 "$(files_at_api)"
}
