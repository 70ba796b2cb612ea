# Makes Keystone small and quick and tells it where its database is.
set -eu
sed -i 's|^#\? *connection = .*|connection = mysql+pymysql://keystone:keystone@localhost/keystone|' /etc/keystone/keystone.conf
grep -q '^connection = mysql' /etc/keystone/keystone.conf
sed -i 's/^\(workers\|processes\) *=.*/\1 = 2/' /etc/keystone/keystone-uwsgi.ini
# Hashing a password the way that protects it takes a fifth of a second of a
# processor, for every login. Nothing here is worth that.
sed -i 's/^#\? *password_hash_rounds *=.*/password_hash_rounds = 4/' /etc/keystone/keystone.conf
grep -q '^password_hash_rounds' /etc/keystone/keystone.conf
