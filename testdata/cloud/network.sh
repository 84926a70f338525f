# What differs by the network that the cloud has, NETWORK: linuxbridge, ovs (ML2/OVS), ovs-hybrid (the same, filtering by
# iptables) or ovn. Open vSwitch is in user space, so that no module of the kernel's is needed. Sourced by start and stop.

NEUTRON=/etc/neutron/neutron.conf ML2=/etc/neutron/plugins/ml2/ml2_conf.ini
LINUXBRIDGE=/etc/neutron/plugins/ml2/linuxbridge_agent.ini OVS=/etc/neutron/plugins/ml2/openvswitch_agent.ini
DHCP=/etc/neutron/dhcp_agent.ini L3=/etc/neutron/l3_agent.ini
OVSDB=/run/openvswitch/db.sock

configure_network() {
  put $NEUTRON DEFAULT core_plugin=ml2 dns_domain=cloud.example. transport_url=$RABBIT auth_strategy=keystone rpc_workers=1 bind_host=$IP api_workers=1
  put $NEUTRON database connection="$(db neutron neutron)"
  put $NEUTRON oslo_concurrency lock_path=/var/lock/neutron
  tokens $NEUTRON neutron; login $NEUTRON nova nova
  put $ML2 ml2 type_drivers=flat,vlan,vxlan,geneve,local extension_drivers=port_security,dns
  put $ML2 ml2_type_flat flat_networks=physnet1
  put $ML2 securitygroup enable_security_group=true
  # Zed's is no friend of OVN under uWSGI: it waits for ever for OVN's database. Its server of old is API and RPC in one.
  [[ $RELEASE != zed ]] || echo "PYARGV='' DAEMON=/usr/bin/neutron-server DAEMON_ARGS='--config-file $NEUTRON --config-file $ML2 --log-file /var/log/neutron/neutron-server.log' # ndock-cloud" >/etc/default/neutron-server
  "configure_$NETWORK"
}

configure_linuxbridge() {
  put $NEUTRON DEFAULT service_plugins=router interface_driver=linuxbridge
  put $NEUTRON experimental linuxbridge=true
  put $ML2 ml2 tenant_network_types=local mechanism_drivers=linuxbridge
  put $LINUXBRIDGE linux_bridge physical_interface_mappings=physnet1:ndock-uplink
  put $LINUXBRIDGE vxlan enable_vxlan=false
  put $LINUXBRIDGE securitygroup firewall_driver=iptables enable_security_group=true
  put $L3 DEFAULT interface_driver=linuxbridge
  put $DHCP DEFAULT interface_driver=linuxbridge enable_isolated_metadata=false
}

configure_ovs() {
  put $NEUTRON DEFAULT service_plugins=router interface_driver=openvswitch
  put $ML2 ml2 tenant_network_types=local mechanism_drivers=openvswitch
  put $OVS ovs bridge_mappings=physnet1:br-ex datapath_type=netdev
  put $OVS securitygroup firewall_driver=openvswitch enable_security_group=true
  local agent
  for agent in $L3 $DHCP; do put "$agent" DEFAULT interface_driver=openvswitch ovs_use_veth=true enable_isolated_metadata=false; put "$agent" ovs datapath_type=netdev; done
}

configure_ovs-hybrid() {
  configure_ovs
  put $OVS securitygroup firewall_driver=iptables_hybrid
}

configure_ovn() {
  put $NEUTRON DEFAULT service_plugins=ovn-router
  put $ML2 ml2 tenant_network_types=geneve mechanism_drivers=ovn
  put $ML2 ml2_type_geneve vni_ranges=1:65535 max_header_size=38
  put $ML2 ovn ovn_nb_connection=tcp:$IP:6641 ovn_sb_connection=tcp:$IP:6642 ovn_metadata_enabled=false
}

uplink() { # the physical network: one end for Neutron's bridge, the other in a bridge that is the gateway and this host's way in
  ip link show ndock-lan >/dev/null 2>&1 && return
  ip link show ndock-uplink >/dev/null 2>&1 && ip link del ndock-uplink
  ip link add ndock-uplink type veth peer name ndock-far
  ip link add ndock-lan type bridge
  ip addr add 198.51.100.1/24 dev ndock-lan
  ip link set ndock-far master ndock-lan
  for link in ndock-uplink ndock-far ndock-lan; do ip link set $link up; done
  [[ $NETWORK == linuxbridge ]] || ethtool -K ndock-far tx off >/dev/null # a switch in user space computes no checksums
}

vswitch() { # as ovs-ctl starts it, which will not without the kernel's module
  local db=/etc/openvswitch/conf.db
  mkdir -p $LOG # a second host has none yet
  [[ -e $db ]] || ovsdb-tool create $db /usr/share/openvswitch/vswitch.ovsschema
  mkdir -p /run/openvswitch
  switched ovsdb-server $db --remote=punix:$OVSDB --remote=db:Open_vSwitch,Open_vSwitch,manager_options
  wait_for 30 ovsdb-server ovs-vsctl --no-wait init
  ovs-vsctl --no-wait set Open_vSwitch . external_ids:system-id="$(hostname)" external_ids:hostname="$(hostname)"
  switched ovs-vswitchd unix:$OVSDB
  ovs-vsctl --timeout=30 --may-exist add-br br-ex -- set Bridge br-ex datapath_type=netdev -- --may-exist add-port br-ex ndock-uplink
}

# switched NAME ARGUMENT…: a program of Open vSwitch, if it does not run
switched() {
  ! start-stop-daemon --status --pidfile "/run/openvswitch/$1.pid" --name "$1" || return 0
  "$@" --pidfile --detach --no-chdir --log-file 2>>$LOG/openvswitch.log 9>&-
}

network_services() {
  uplink
  case $NETWORK in ovs*) vswitch ;; ovn) vswitch; ovn ;; esac
  start "${NEUTRON_SERVER[@]}"
  case $NETWORK in
    linuxbridge) start neutron-linuxbridge-agent neutron-dhcp-agent neutron-l3-agent ;;
    ovs*) start neutron-openvswitch-agent neutron-dhcp-agent neutron-l3-agent ;;
  esac
}

ovn() {
  /usr/share/ovn/scripts/ovn-ctl start_northd >>$LOG/ovn.log 2>&1 9>&-
  ovn-nbctl set-connection ptcp:6641:$IP
  ovn-sbctl set-connection ptcp:6642:$IP
  chassis $IP $IP
  # Debian 12's OVN keeps this in other_config, and its Neutron still looks for it where it was before
  [[ $RELEASE != zed ]] || wait_for 60 ovn-controller ovn-sbctl set Chassis "$(hostname)" external_ids:ovn-bridge-mappings=physnet1:br-ex \
    external_ids:datapath-type=netdev external_ids:ovn-cms-options=enable-chassis-as-gw
}

# chassis CENTRAL ENCAPSULATED: OVN's controller, with the addresses of its database and of this host for others; the first has the gateways
chassis() {
  ovs-vsctl set Open_vSwitch . external_ids:ovn-remote=tcp:$1:6642 external_ids:ovn-encap-type=geneve external_ids:ovn-encap-ip=$2 \
    external_ids:ovn-bridge-datapath-type=netdev external_ids:ovn-bridge-mappings=physnet1:br-ex
  [[ $1 != "$2" ]] || ovs-vsctl set Open_vSwitch . external_ids:ovn-cms-options=enable-chassis-as-gw
  /usr/share/ovn/scripts/ovn-ctl status_controller >/dev/null || /usr/share/ovn/scripts/ovn-ctl start_controller >>$LOG/ovn.log 2>&1 9>&-
}

stop_network() {
  stop neutron-l3-agent neutron-dhcp-agent neutron-linuxbridge-agent neutron-openvswitch-agent \
    neutron-ovn-maintenance-worker neutron-periodic-workers neutron-rpc-server neutron-api
  if [[ -x /usr/share/ovn/scripts/ovn-ctl ]]; then
    /usr/share/ovn/scripts/ovn-ctl stop_controller
    /usr/share/ovn/scripts/ovn-ctl stop_northd
  fi >>$LOG/ovn.log 2>&1
  local name
  for name in ovs-vswitchd ovsdb-server; do
    start-stop-daemon --stop --quiet --oknodo --retry TERM/10/KILL/5 --pidfile /run/openvswitch/$name.pid --name $name
  done
}

# another_network: Neutron forgets what it knew, and leaves no link behind
another_network() {
  [[ $NETWORK != "$(cat $STATE/network 2>/dev/null || echo $DEFAULT_NETWORK)" && -e $STATE/neutron-db ]] || return 0
  stop nova-compute nova-api # both remember what Neutron can do
  stop_network
  local link namespace
  for namespace in $(ip netns list | awk '/^(qdhcp|qrouter)-/ { print $1 }'); do ip netns delete "$namespace"; done
  for link in $(ip -o link show | awk -F '[ :@]+' '$2 ~ /^(brq|qbr|tap|ndock-uplink|ndock-lan|br-int|br-ex|br-tun|ovs-netdev)/ { print $2 }'); do
    ip link delete "$link" 2>/dev/null || true
  done
  rm -f /etc/openvswitch/conf.db /var/lib/ovn/*.db
  mariadb -e 'DROP DATABASE neutron; CREATE DATABASE neutron'
  rm -f $STATE/neutron-db $STATE/network-and-flavors
}
