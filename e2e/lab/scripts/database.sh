# Lets other machines reach MariaDB, and makes its files anew: a node copies
# all of them when it starts to write.
set -eu
cat >/etc/mysql/mariadb.conf.d/99-lab.cnf <<END
[mariadbd]
bind-address = 0.0.0.0
innodb_log_file_size = 8M
innodb_buffer_pool_size = 64M
END
rm -rf /var/lib/mysql
install -d -o mysql -g mysql -m 755 /var/lib/mysql
mariadb-install-db --force --user=mysql --skip-test-db --auth-root-authentication-method=socket >/dev/null
