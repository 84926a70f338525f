# What differs by the release of OpenStack, RELEASE: zed (when nothing else is said), 2025.1 or 2026.2. Each is that of a
# suite of Debian's, by whose packages it is run: zed on this machine itself, Debian 12, the others in roots of their own.
# Sourced.

RELEASE=${RELEASE:-zed}
case $RELEASE in
  zed) SUITE=bookworm ;;
  2025.1) SUITE=trixie ;;
  2026.2) SUITE=sid ;; # forky has no Glance and no OVN
  *) die "RELEASE is $RELEASE, and can be zed, 2025.1 or 2026.2" ;;
esac
if [[ $RELEASE == zed ]]; then
  ROOT='' DEFAULT_NETWORK=linuxbridge DRIVER=fake.SmallFakeDriver
else
  ROOT=/var/lib/ndock-clouds/$RELEASE/root DEFAULT_NETWORK=ovn DRIVER=libvirt.LibvirtDriver
fi
NETWORK=${NETWORK:-$(cat "$ROOT$STATE/network" 2>/dev/null || echo $DEFAULT_NETWORK)} # what it was, unless said (also to a root's inside)
case $RELEASE/$NETWORK in
  zed/linuxbridge | */ovs | */ovs-hybrid | */ovn) ;;
  */linuxbridge) die "Neutron has no linuxbridge any more in $RELEASE: NETWORK can be ovn, ovs or ovs-hybrid" ;;
  *) die "NETWORK is $NETWORK, and can be linuxbridge (of zed), ovs, ovs-hybrid or ovn" ;;
esac

PACKAGES=(docker.io crun busybox-static iptables iproute2 conntrack mariadb-server rabbitmq-server memcached crudini curl jq sudo time
  uwsgi-plugin-python3 keystone barbican-api glance-api placement-api nova-api nova-conductor nova-scheduler nova-compute
  nova-consoleproxy neutron-api neutron-rpc-server python3-websocket python3-openstackclient python3-pymysql python3-memcache)

network_packages() {
  case $1 in
    linuxbridge) echo neutron-linuxbridge-agent neutron-dhcp-agent neutron-l3-agent ebtables ;;
    ovs*) echo neutron-openvswitch-agent neutron-dhcp-agent neutron-l3-agent openvswitch-switch ethtool ;;
    ovn) echo openvswitch-switch ovn-central ovn-host ethtool ;;
  esac
}

if [[ $RELEASE == zed ]]; then
  NEUTRON_SERVER=(neutron-api) # which answers RPC, too (network.sh)
  PACKAGES+=(debootstrap $(network_packages "$NETWORK")) # which makes the second host, and the roots of the others
else # what a machine has already, and a root of a few packages has not; and all networks at once
  NEUTRON_SERVER=(neutron-api neutron-rpc-server neutron-periodic-workers)
  [[ $NETWORK != ovn ]] || NEUTRON_SERVER+=(neutron-ovn-maintenance-worker)
  PACKAGES+=(docker-cli tini procps ca-certificates openssl openssh-client xz-utils bzip2 zstd iputils-ping skopeo tempest python3-stestr dropbear-bin
    neutron-periodic-workers neutron-ovn-maintenance-worker $(network_packages ovs) $(network_packages ovn))
fi
