# Turns a minimal Debian into a machine of the lab.
set -eu
# Every node gets host keys and an identity of its own.
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id
: >/etc/machine-id
cat >/etc/ssh/sshd_config.d/lab.conf <<END
UseDNS no
PermitRootLogin prohibit-password
MaxStartups 200
END
useradd --create-home --shell /bin/bash ops
echo 'ops ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/ops
chmod 440 /etc/sudoers.d/ops
# What runs at boot or now and then and is of no use here.
systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-network-generator.service \
    getty.target console-getty.service systemd-update-utmp.service systemd-update-utmp-runlevel.service
