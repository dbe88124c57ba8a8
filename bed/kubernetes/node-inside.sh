#!/bin/bash
# node-inside.sh: PID 1 of a node, in network, mount and pid namespaces of its own (see node.py). All of Kubernetes runs
# below it, and when this process is killed everything goes at once: processes, mounts and addresses.
#   NODE_FOLDER      the node's folder, made ready by node_files.py
#   NODE_PAUSE       archive of the image that every Pod needs
#   NODE_ADDRESS NODE_API NODE_SERVICES NODE_LINK   see node_network.py
set -euo pipefail
cd "$NODE_FOLDER"
pki=$NODE_FOLDER/pki

# wait_for SECONDS COMMAND...
wait_for() {
    local tries=$(($1 * 10))
    shift
    until "$@" >/dev/null 2>&1; do
        ((tries-- > 0)) || { echo "waited in vain for: $*"; exit 1; }
        sleep 0.1
    done
}

background() {
    local name=$1
    shift
    "$@" >"log/$name.log" 2>&1 &
}

# What these programs would write to the machine goes to memory: quicker, and gone with the node.
for folder in /run /var/lib /var/log; do
    mount -t tmpfs tmpfs "$folder"
done
# kubelet sets these kernel values: let it set copies.
for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
    copy=sysctl-$(basename "${setting%=*}")
    echo "${setting#*=}" >"$copy"
    mount --bind "$copy" "/proc/sys/${setting%=*}"
done

ip link set lo up
ip address add "$NODE_API/32" dev lo
echo 1 >/proc/sys/net/ipv4/ip_forward
touch namespaces
wait_for 10 ip link show "$NODE_LINK"
ip address add "$NODE_ADDRESS/30" dev "$NODE_LINK"
ip link set "$NODE_LINK" up

background containerd containerd --config containerd.toml
background etcd etcd --data-dir /var/lib/etcd --logger zap --log-level warn
background apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 --secure-port 443 --advertise-address "$NODE_ADDRESS" \
    --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" --client-ca-file "$pki/ca.crt" \
    --kubelet-client-certificate "$pki/admin.crt" --kubelet-client-key "$pki/admin.key" \
    --kubelet-certificate-authority "$pki/ca.crt" --kubelet-preferred-address-types InternalIP \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$pki/tokens.pub" \
    --service-account-signing-key-file "$pki/tokens.key" --service-cluster-ip-range "$NODE_SERVICES" \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged

wait_for 60 ctr version
ctr --namespace k8s.io images import "$NODE_PAUSE"

wait_for 60 kubectl --kubeconfig admin.kubeconfig get --raw /readyz
background controller-manager kube-controller-manager --kubeconfig controller-manager.kubeconfig --leader-elect=false \
    --use-service-account-credentials --service-account-private-key-file "$pki/tokens.key" --root-ca-file "$pki/ca.crt"
background scheduler kube-scheduler --kubeconfig scheduler.kubeconfig --leader-elect=false
background kubelet kubelet --config kubelet.yaml --kubeconfig kubelet.kubeconfig --root-dir /var/lib/kubelet \
    --hostname-override bed-node --node-ip "$NODE_ADDRESS"
wait
