#!/bin/bash
# inside-samba.sh FOLDER REALM DOMAIN PASSWORD: PID 1 of an Active Directory, in mount, UTS, pid and network namespaces of its
# own (see samba.py): a domain controller's ports cannot be chosen. Unix sockets in the folder lead to them.
set -euo pipefail
cd /
folder=$1 realm=$2 domain=$3 password=$4
ip link set lo up
hostname dc1
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/samba /run/etc "$folder/data"
cp --archive /etc /run
printf '127.0.0.1 localhost dc1.%s dc1\n' "${realm,,}" >/run/etc/hosts
rm -f /run/etc/samba/smb.conf
mount --bind /run/etc /etc
samba-tool domain provision --quiet --server-role=dc --use-rfc2307 --realm="$realm" --domain="$domain" --host-name=dc1 \
  --host-ip=127.0.0.1 --dns-backend=NONE --adminpass="$password" --targetdir="$folder/data" \
  --option="interfaces=lo" --option="bind interfaces only=yes" --option="acl_xattr:ignore system acls=yes"
# Not all options of the provisioning are written down by it.
sed -i "/^\[global\]/a\\
	interfaces = lo\\
	bind interfaces only = yes\\
	server services = ldap\\
	ntlm auth = ntlmv2-only\\
	ldap server require strong auth = allow_sasl_over_tls\\
	tls enabled = yes\\
	tls keyfile = $folder/key.pem\\
	tls certfile = $folder/certificate.pem\\
	tls cafile = $folder/certificate.pem" "$folder/data/etc/smb.conf"
samba --foreground --no-process-group --configfile="$folder/data/etc/smb.conf" --debug-stdout &
for port in 389 636; do
  socat "UNIX-LISTEN:$folder/$port,fork" "TCP:127.0.0.1:$port" &
done
until { : <>/dev/tcp/127.0.0.1/636; } 2>/dev/null; do sleep 0.05; done
: >"$folder/ready"
# Orphans come to PID 1; bash buries them while it waits.
wait
