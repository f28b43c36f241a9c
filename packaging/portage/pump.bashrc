# pump.bashrc: brings FEATURES="distcc distcc-pump" back to Portage.
#
# Portage knows FEATURES=distcc, and forgot distcc-pump in 2019, because stock's include server does not notice that
# files change while it runs. Pumphouse's does. To use this file, add one line to /etc/portage/bashrc:
#
#     source /usr/share/distcc/pump.bashrc
#
# or link it to /etc/portage/profile/profile.bashrc. Then in /etc/portage/make.conf, either of
#
#     FEATURES="distcc distcc-pump"        Portage says in red that it does not know distcc-pump, and passes it on
#     FEATURES="distcc" DISTCC_PUMP="1"    the same in silence
#
# and hosts with ",cpp,lzo" in /etc/distcc/hosts, /var/tmp/portage/.distcc/hosts or DISTCC_HOSTS. For one package without
# it: FEATURES="-distcc-pump" (or DISTCC_PUMP="0") by /etc/portage/package.env.
#
# How it works, and why so:
#  - A session of pump lives as long as the shell of one phase. What is started in a phase dies with it anyhow
#    (FEATURES=pid-sandbox). configure has none: what it compiles are probes, which are done here or preprocessed here.
#  - The session's directory is in ${T}, which the phase's user (userpriv) owns, the sandbox lets write, and Portage
#    removes. It is not in DISTCC_DIR, because Portage changes modes there while other packages are built. Only when
#    ${T} is too long for a socket's name it is in /tmp.
#  - A trap ends it with the phase, whatever the reason; --owner does when the shell is killed and no trap runs.
#  - The one variable that says where the session is begins with DISTCC_, so Portage leaves it out of the environments
#    that it saves, and no later phase finds a session that is gone. No function stays behind, either.
#  - Where the network sandbox is on, distcc goes through Portage's proxy by itself (DISTCC_SOCKS_PROXY).

unset DISTCC_PUMP_SESSION

case ${EBUILD_PHASE} in
compile|test|install)
	__distcc_pump_begin() {
		local shell=${BASHPID} base=${T} line settings earlier
		contains_word distcc "${FEATURES}" || return 0
		if [[ ${DISTCC_PUMP} ]]; then
			[[ ${DISTCC_PUMP} == 1 ]] || return 0
		else
			contains_word distcc-pump "${FEATURES}" || return 0
		fi
		# Phases that are over, or not wanted, compile nothing.
		[[ ${EBUILD_PHASE} == test ]] && [[ ${EBUILD_FORCE_TEST} != 1 ]] && ! contains_word test "${FEATURES}" && return 0
		if ! type -P pump > /dev/null; then
			ewarn "distcc-pump: there is no program \"pump\"; compiling without pump mode"
			return 0
		fi
		if [[ $(distcc --show-hosts 2> /dev/null) != *,cpp* ]]; then
			[[ ${EBUILD_PHASE} == compile ]] &&
				ewarn "distcc-pump: no host for pump mode (\",cpp,lzo\") is configured; compiling without pump mode"
			return 0
		fi
		# A socket's name has 107 bytes; the session adds "/distcc-pump.XXXXXX/socket.pumphouse".
		(( $(LC_ALL=C; printf %s "${#base}") <= 107 - 36 )) || base=/tmp
		# Not heeded here: other hosts are tried from outside the network sandbox only.
		if ! settings=$(
			unset DISTCC_POTENTIAL_HOSTS INCLUDE_SERVER_PORT INCLUDE_SERVER_DIR INCLUDE_SERVER_PID
			# DISTCC_DIR is shared by a group; what compilers say is believed only from a directory of the user's own.
			export INCLUDE_SERVER_ARGS="${INCLUDE_SERVER_ARGS} --cache-dir '${T}/distcc-pump.compilers'"
			TMPDIR=${base} pump --no-masquerade --owner "${shell}" --startup
		); then
			ewarn "distcc-pump: pump could not be started; compiling without pump mode"
			return 0
		fi
		while read -r line; do
			[[ ${line} == "export INCLUDE_SERVER_DIR="* ]] || continue
			eval "DISTCC_PUMP_SESSION=${line#*=}"
		done <<< "${settings}"
		[[ ${DISTCC_PUMP_SESSION} ]] || return 0
		export DISTCC_PUMP_SESSION
		# What was to be done at the end of this shell is still done.
		earlier=$(trap -p EXIT)
		if [[ ${earlier} ]]; then
			eval "set -- ${earlier}"
			earlier=$3
		fi
		# A phase that compiled nothing has nothing to sum up.
		trap '
			[[ -s ${DISTCC_PUMP_SESSION}/journal ]] || export PUMPHOUSE_SUMMARY=0
			pump --shutdown
			'"${earlier}" EXIT
	}
	__distcc_pump_begin
	unset -f __distcc_pump_begin
	;;
esac
