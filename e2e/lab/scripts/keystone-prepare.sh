# Fills a Keystone: administrator, roles, an ordinary user. There is no
# project for services: whoever needs one makes it.
set -eu
url=http://10.77.0.5:5000/v3
ip address add 10.77.0.5/24 dev lo
ip link set lo up

mysql <<END
CREATE DATABASE keystone CHARACTER SET utf8;
GRANT ALL ON keystone.* TO keystone@localhost IDENTIFIED BY 'keystone';
END
su -s /bin/sh keystone -c 'keystone-manage db_sync'
keystone-manage fernet_setup --keystone-user keystone --keystone-group keystone
keystone-manage credential_setup --keystone-user keystone --keystone-group keystone
keystone-manage bootstrap --bootstrap-password "$ADMIN" --bootstrap-region-id RegionOne \
    --bootstrap-admin-url $url/ --bootstrap-internal-url $url/ --bootstrap-public-url $url/
systemctl restart keystone

openrc() {
    cat <<END
export OS_AUTH_URL=$url
export OS_IDENTITY_API_VERSION=3
export OS_REGION_NAME=RegionOne
export OS_USERNAME=$1
export OS_PASSWORD='$2'
export OS_PROJECT_NAME=$1
export OS_USER_DOMAIN_NAME=Default
export OS_PROJECT_DOMAIN_NAME=Default
END
}
umask 077
openrc admin "$ADMIN" >/root/openrc
openrc demo "$DEMO" >/root/demo-openrc

. /root/openrc
n=0
until openstack token issue >/dev/null 2>&1; do
    n=$((n + 1))
    [ $n -lt 60 ]
    sleep 1
done
openstack role create --or-show member
openstack role create --or-show reader
openstack project create --or-show demo
openstack user create --or-show --password "$DEMO" demo
openstack role add --project demo --user demo member
