# Makes Keystone small and tells it where its database is.
set -eu
sed -i 's|^#\? *connection = .*|connection = mysql+pymysql://keystone:keystone@localhost/keystone|' /etc/keystone/keystone.conf
grep -q '^connection = mysql' /etc/keystone/keystone.conf
sed -i 's/^\(workers\|processes\) *=.*/\1 = 2/' /etc/keystone/keystone-uwsgi.ini
