#!/bin/bash
# inside.sh FOLDER HOSTNAME: PID 1 of a cluster, in mount, UTS and pid namespaces of its own (see namespace.py).
# To the daemons and their jobs this is a login node called HOSTNAME with everything at Debian's usual places;
# to the machine it is one folder and one process, and when this process is killed everything goes at once.
set -euo pipefail
cd /
hostname "$2"
mount -t tmpfs -o mode=755 tmpfs /run
install -d /run/bed /run/sshd
install -d -o munge -g munge /run/munge
install -d -o slurm -g slurm /run/slurm /run/mysqld
mount --bind "$1" /run/bed
# All of /etc, not only passwd: a bind mount on a single file vanishes when useradd or dpkg on the host replaces the file.
# In memory: on a disk a thousand small files take a second.
cp --archive /etc /run/etc
cp --archive /run/bed/etc/. /run/etc
mount --bind /run/etc /etc
mount --bind /run/bed/home /home
mount --bind /run/bed/tmp /tmp
: >/run/bed/run/inside
# Orphans come to PID 1; bash buries them while it waits.
sleep infinity &
wait
