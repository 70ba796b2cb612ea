#!/usr/bin/env bash
# make test: everything. What cannot run here is named in one line; with
# CI=true that is a failure.
#
# The parts run in lanes beside each other: three of tests with machines, which
# mostly wait for them, and what only computes, which makes way for the others.
set -euo pipefail
cd "$(dirname "$0")/.."

# One form of every package for build, vet, staticcheck and tests, wherever
# the clone is: it is compiled once. The race detector needs its own.
export GOFLAGS="-trimpath ${GOFLAGS:-}" CGO_ENABLED=0
logs=$PWD/bin/test

step() { printf '\n== %s (%ds)\n' "$1" "$SECONDS"; }
left_out() {
	printf '\nleft out: %s\n' "$1"
	if [ "${CI:-}" = true ]; then
		echo "CI=true: nothing may be left out"
		exit 1
	fi
}

# part NAME COMMAND... runs a part in a session of its own, says how it ended
# and how long it took, and shows all it printed if it failed.
part() {
	local name=$1 log="$logs/$1.log" begun=$SECONDS code=0
	shift
	printf '%-8s %-14s        at %ds\n' begun "$name" "$SECONDS"
	setsid "$@" >"$log" 2>&1 &
	echo $! >"$logs/$name.session"
	wait $! || code=$?
	rm "$logs/$name.session"
	(
		flock 9 # one at a time
		[ $code = 0 ] || { printf -- '-- %s says:\n' "$name"; cat "$log"; }
		printf '%-8s %-14s %4ds, at %ds\n' "$([ $code = 0 ] && echo ok || echo FAILED)" "$name" $((SECONDS - begun)) "$SECONDS"
	) 9>"$logs/lock"
	return $code
}
machines() { # NAME ARGUMENTS...
	part "$1" env GLANCECTL_E2E=1 go test -vet=off -count=1 -timeout 40m "${@:2}"
}

# Every lane goes on after a part that failed. They take about as long as each
# other.
programs() {
	local code=0
	machines rollout -run '^TestMainJob$' ./e2e || code=1
	machines rest -p 1 $(go list ./e2e/... |
		grep -v -e '/e2e$' -e /e2e/lab$ -e /e2e/servers$ -e /e2e/conformance$ -e /e2e/everything$) || code=1
	return $code
}
servers() {
	local code=0
	machines servers ./e2e/servers || code=1
	machines lab ./e2e/lab || code=1
	machines end-to-end -skip '^TestMainJob$' ./e2e || code=1
	return $code
}
others() {
	local code=0
	machines everything ./e2e/everything || code=1
	machines conformance ./e2e/conformance || code=1
	return $code
}
computing() {
	local code=0
	part lint nice ./e2e/lint.sh || code=1
	part unit nice make --no-print-directory unit TESTFLAGS=-vet=off || code=1
	return $code
}

# end ends all parts; their labs end with them.
end() {
	trap '' INT TERM HUP
	[ ${#lanes[@]} = 0 ] || kill "${lanes[@]}" 2>/dev/null || true
	local f s sessions='' waited=0
	for f in "$logs"/*.session; do
		[ -e "$f" ] || continue
		s=$(cat "$f")
		sessions="$sessions $s"
		kill -TERM -- "-$s" 2>/dev/null || true
	done
	for s in $sessions; do
		while kill -0 -- "-$s" 2>/dev/null; do
			[ $waited -lt 600 ] || kill -KILL -- "-$s" 2>/dev/null || true
			waited=$((waited + 1))
			sleep 0.1
		done
	done
	rm -f "$logs"/*.session
}
lanes=()
trap 'end; echo "interrupted"; exit 130' INT TERM HUP
rm -rf "$logs"
mkdir -p "$logs"

lab=yes
why=
if [ "$(id -u)" != 0 ]; then
	lab=no why="the end-to-end tests need root"
elif ! command -v apt-get >/dev/null || ! grep -q '^ID=debian' /etc/os-release; then
	lab=no why="the end-to-end tests need Debian"
fi

if [ $lab = yes ]; then
	step "packages of the lab"
	./e2e/packages.sh
fi

step "programs"
make --no-print-directory build
inside=$(bin/glancectl version --json)
case $inside in
*'"services":["amd64","arm64"]'*) ;;
*)
	printf 'bin/glancectl has not the service for amd64 and arm64 inside:\n%s\n' "$inside"
	exit 1
	;;
esac

step "format, vet, staticcheck and unit tests; beside them the tests with machines"
computing &
lanes+=($!)
failed=0
if [ $lab = yes ]; then
	part images go run ./e2e/cmd/lab images || failed=1
	if [ $failed = 0 ]; then
		for lane in programs servers others; do
			$lane &
			lanes+=($!)
		done
	fi
fi
for lane in "${lanes[@]}"; do
	# A wait that a signal cuts short ends with the trap.
	wait "$lane" || failed=1
done

step "done"
if [ $failed != 0 ]; then
	echo "something failed: see above; all that the parts said is in bin/test"
	exit 1
fi
[ $lab = yes ] || left_out "$why"
