package dbserver

// relayCommand passes bytes between its standard streams and the socket, as
// root. Debian always has perl; the others are for machines that are not
// Debian.
func relayCommand(socket string) []string {
	return []string{"sh", "-c", becomeRoot, "relay", relayScript, socket}
}

const becomeRoot = `if [ "$(id -u)" = 0 ]; then exec sh -c "$1" relay "$2"; fi
exec sudo -n sh -c "$1" relay "$2"`

const relayScript = `if command -v perl >/dev/null; then exec perl -e '
use Socket;
socket(S, PF_UNIX, SOCK_STREAM, 0) && connect(S, sockaddr_un($ARGV[0])) or die "$ARGV[0]: $!\n";
my $fds = ""; vec($fds, 0, 1) = 1; vec($fds, fileno(S), 1) = 1;
sub put {
  my ($h, $b) = @_;
  while (length $b) { my $n = syswrite($h, $b); exit unless $n; substr($b, 0, $n) = "" }
}
while (1) {
  select(my $ready = $fds, undef, undef, undef);
  if (vec($ready, 0, 1)) { sysread(STDIN, my $b, 65536) or exit; put(\*S, $b) }
  if (vec($ready, fileno(S), 1)) { sysread(S, my $b, 65536) or exit; put(\*STDOUT, $b) }
}' "$1"
elif command -v socat >/dev/null; then exec socat - "UNIX-CONNECT:$1"
elif command -v python3 >/dev/null; then exec python3 -c '
import os, select, socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
def put(write, b):
    while b: b = b[write(b):]
while True:
    ready = select.select([0, s], [], [])[0]
    if 0 in ready:
        b = os.read(0, 65536)
        if not b: break
        put(s.send, b)
    if s in ready:
        b = s.recv(65536)
        if not b: break
        put(lambda b: os.write(1, b), b)' "$1"
else echo "no perl, socat or python3 to reach $1 with" >&2; exit 127
fi`
