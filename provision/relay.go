package provision

import "net"

// Relay is the command that passes bytes between its standard streams and an
// address of the machine, as Dial names it, until either ends. Debian always
// has perl; the others are for machines that are not Debian.
func Relay(network, address string) []string {
	argv := []string{"sh", "-c", relayScript, "relay", network, address}
	if host, port, err := net.SplitHostPort(address); network == "tcp" && err == nil {
		argv = append(argv[:5], host, port)
	}
	return argv
}

const relayScript = `if command -v perl >/dev/null; then exec perl -e '
use Socket qw(:DEFAULT getaddrinfo pack_sockaddr_un);
my ($network, $to, $port) = @ARGV;
my @tried = {family => PF_UNIX, addr => $network eq "unix" ? pack_sockaddr_un($to) : ""};
(my $err, @tried) = getaddrinfo($to, $port, {socktype => SOCK_STREAM}) if $network ne "unix";
my $connected;
for (@tried) {
  last if $connected = socket(S, $_->{family}, SOCK_STREAM, 0) && connect(S, $_->{addr});
}
$connected or die "$to: " . ($err || $!) . "\n";
my $fds = ""; vec($fds, 0, 1) = 1; vec($fds, fileno(S), 1) = 1;
sub put {
  my ($h, $b) = @_;
  while (length $b) { my $n = syswrite($h, $b); exit unless $n; substr($b, 0, $n) = "" }
}
while (1) {
  select(my $ready = $fds, undef, undef, undef);
  if (vec($ready, 0, 1)) { sysread(STDIN, my $b, 65536) or exit; put(\*S, $b) }
  if (vec($ready, fileno(S), 1)) { sysread(S, my $b, 65536) or exit; put(\*STDOUT, $b) }
}' "$@"
elif command -v socat >/dev/null; then
  case $1:$2 in
  unix:*) exec socat - "UNIX-CONNECT:$2" ;;
  *:*:*) exec socat - "TCP6:[$2]:$3" ;;
  esac
  exec socat - "TCP:$2:$3"
elif command -v python3 >/dev/null; then exec python3 -c '
import os, select, socket, sys
if sys.argv[1] == "unix": s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[2])
else: s = socket.create_connection(sys.argv[2:4])
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
        put(lambda b: os.write(1, b), b)' "$@"
else echo "no perl, socat or python3 to reach $2 with" >&2; exit 127
fi`
