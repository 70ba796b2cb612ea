# Gives a machine a RabbitMQ, which takes connections from everywhere, and an
# rsyslog that files what comes from a local facility.
set -eu
# A broker of the lab is idle most of the time: its schedulers may sleep.
echo 'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+sbwt none +sbwtdcpu none +sbwtdio none +S 2:2"' >>/etc/rabbitmq/rabbitmq-env.conf
echo 'local3.* /var/log/local3.log' >/etc/rsyslog.d/lab.conf
