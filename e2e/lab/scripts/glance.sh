# Gives a machine an OpenStack Glance that whoever needs it configures and
# starts: nothing of it runs at boot.
set -eu
case $(dpkg-query -W -f '${Version}' glance-api) in
2:25.1.*) ;;
*)
    echo "glance-api is $(dpkg-query -W -f '${Version}' glance-api), not 25.1" >&2
    exit 1
    ;;
esac
systemctl disable --quiet uwsgi 2>/dev/null || :
cat >/etc/systemd/system/glance-api.service <<END
[Unit]
Description=OpenStack Glance
After=mariadb.service
[Service]
User=glance
Group=glance
WorkingDirectory=/var/lib/glance
ExecStart=/usr/bin/glance-api --config-file /etc/glance/glance-api.conf --config-file /etc/glance/glance-image-import.conf
Restart=no
TimeoutStopSec=15
LimitNOFILE=65535
END
# The packages' files are what a configuration begins with.
for name in glance-api-paste.ini schema-image.json; do
    cp /usr/share/glance-common/$name /etc/glance/
done
mkdir -p /etc/glance/metadefs
cp /usr/share/glance-common/metadefs/*.json /etc/glance/metadefs/
# What comes from the package is as the code has it, without deprecated rules
# spelled out.
rm -f /etc/glance/policy.d/*
