package dbserver

import "glancectl/provision"

// relayCommand passes bytes between its standard streams and the socket, as
// root.
func relayCommand(socket string) []string {
	return append([]string{"sh", "-c", becomeRoot, "sh"}, provision.Relay("unix", socket)...)
}

const becomeRoot = `if [ "$(id -u)" = 0 ]; then exec "$@"; fi
exec sudo -n -- "$@"`
