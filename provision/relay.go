package provision

import "net"

// Relay is the command that passes bytes between its standard streams and an
// address of the machine, as Dial names it, until either ends. Neither way waits
// for the other. Debian always has perl; python3 is for machines that are not
// Debian.
func Relay(network, address string) []string {
	argv := []string{"sh", "-c", relayScript, "relay", network, address}
	if host, port, err := net.SplitHostPort(address); network == "tcp" && err == nil {
		argv = append(argv[:5], host, port)
	}
	return argv
}

const relayScript = `if command -v perl >/dev/null; then exec perl -e '
use IO::Handle;
use Socket qw(:DEFAULT getaddrinfo pack_sockaddr_un);
my ($network, $to, $port) = @ARGV;
my @tried = {family => PF_UNIX, addr => $network eq "unix" ? pack_sockaddr_un($to) : ""};
(my $err, @tried) = getaddrinfo($to, $port, {socktype => SOCK_STREAM}) if $network ne "unix";
my $connected;
for (@tried) {
  last if $connected = socket(S, $_->{family}, SOCK_STREAM, 0) && connect(S, $_->{addr});
}
$connected or die "$to: " . ($err || $!) . "\n";
S->blocking(0);
STDOUT->blocking(0);
my ($up, $down) = ("", "");
while (1) {
  my ($r, $w) = ("", "");
  if (length $up) { vec($w, fileno(S), 1) = 1 } else { vec($r, 0, 1) = 1 }
  if (length $down) { vec($w, 1, 1) = 1 } else { vec($r, fileno(S), 1) = 1 }
  select($r, $w, undef, undef);
  if (vec($r, 0, 1)) { sysread(STDIN, $up, 65536) or exit }
  if (vec($r, fileno(S), 1)) { sysread(S, $down, 65536) or exit }
  if (vec($w, fileno(S), 1)) { my $n = syswrite(S, $up) or exit; substr($up, 0, $n) = "" }
  if (vec($w, 1, 1)) { my $n = syswrite(STDOUT, $down) or exit; substr($down, 0, $n) = "" }
}' "$@"
elif command -v python3 >/dev/null; then exec python3 -c '
import os, select, socket, sys
if sys.argv[1] == "unix": s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[2])
else: s = socket.create_connection(sys.argv[2:4])
s.setblocking(False)
os.set_blocking(1, False)
up = down = b""
while True:
    r, w, _ = select.select([f for f, b in ((0, up), (s, down)) if not b], [f for f, b in ((s, up), (1, down)) if b], [])
    if 0 in r:
        up = os.read(0, 65536)
        if not up: break
    if s in r:
        down = s.recv(65536)
        if not down: break
    if s in w: up = up[s.send(up):]
    if 1 in w: down = down[os.write(1, down):]' "$@"
else echo "no perl or python3 to reach $2 with" >&2; exit 127
fi`
