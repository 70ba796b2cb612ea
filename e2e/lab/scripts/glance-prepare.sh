# Makes the database that Glance has on its own machine.
set -eu
mysql <<END
CREATE DATABASE glance CHARACTER SET utf8;
GRANT ALL ON glance.* TO glance@localhost IDENTIFIED BY 'glance';
GRANT ALL ON glance.* TO glance@'%' IDENTIFIED BY 'glance';
END
cat >/etc/glance/glance-api.conf <<END
[database]
connection = mysql+pymysql://glance:glance@localhost/glance
END
su -s /bin/sh glance -c 'glance-manage --config-file /etc/glance/glance-api.conf db_sync'
