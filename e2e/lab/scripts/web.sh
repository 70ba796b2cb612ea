# Gives a machine an nginx that whoever needs it configures and starts.
set -eu
systemctl disable --quiet nginx
rm -f /etc/nginx/sites-enabled/default
