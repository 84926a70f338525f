# The configuration of every OpenStack service, on Debian's own files. Sourced by start.

KEYSTONE=/etc/keystone/keystone.conf BARBICAN=/etc/barbican/barbican.conf GLANCE=/etc/glance/glance-api.conf PLACEMENT=/etc/placement/placement.conf
NOVA=/etc/nova/nova.conf NOVA_COMPUTE=/etc/nova/nova-compute.conf
FILTERS=ComputeFilter,ComputeCapabilitiesFilter,ImagePropertiesFilter,ServerGroupAntiAffinityFilter,ServerGroupAffinityFilter,SameHostFilter,DifferentHostFilter # Nova's default, and the last two
RABBIT=rabbit://openstack:$PASS@$IP:5672/

db() { echo "mysql+pymysql://$1:$PASS@$IP/$2"; }

# put FILE SECTION KEY=VALUE...
put() { crudini --merge "$1" < <(printf '[%s]\n' "$2"; printf '%s\n' "${@:3}"); }

# login FILE SECTION USER: a service user's credentials
login() {
  put "$1" "$2" auth_url=http://$IP:5000/v3 auth_type=password username="$3" password="$PASS" \
    project_name=service project_domain_name=Default user_domain_name=Default region_name=RegionOne
}

# tokens FILE USER: how a service checks the tokens that it is shown
tokens() {
  login "$1" keystone_authtoken "$2"
  put "$1" keystone_authtoken www_authenticate_uri=http://$IP:5000 memcached_servers=$IP:11211
}

# configure_apis: on loopback, and two processes where Debian's packages have 8 or 16. Those of Nova and Neutron keep a single
# thread: with more, eventlet loses answers of RabbitMQ's, and calls time out after a minute.
configure_apis() {
  api keystone keystone 5000 4
  api barbican barbican-api 9311 4
  api placement placement-api 8778 4
  api nova nova-api 8774 1
  api neutron neutron-api 9696 1 neutron-server
}

# api PROJECT NAME PORT THREADS [SERVICE]: what its init script reads last has the service's name
api() {
  local ini=/etc/$1/$2-uwsgi.ini
  sed -i "s/^processes = .*/processes = 2/; s/^threads = .*/threads = $4/" "$ini"
  # Else clients that keep a connection fail now and then.
  grep -q '^add-header = Connection' "$ini" || sed -i 's/^\[uwsgi\]/&\nadd-header = Connection: close/' "$ini"
  echo "DAEMON_ARGS='--http-socket $IP:$3 --ini $ini' # ndock-cloud" >"/etc/default/${5:-$2}"
}

configure_identity_and_images() { # and the certificates that images are signed with
  put $KEYSTONE database connection="$(db keystone keystone)"
  put $KEYSTONE token provider=fernet
  # Else every login and every look at a token takes a processor for a third of a second.
  put $KEYSTONE identity password_hash_rounds=4
  put $KEYSTONE cache enabled=true backend=dogpile.cache.memcached memcache_servers=$IP:11211
  put $GLANCE database connection="$(db glance glance)"
  put $GLANCE paste_deploy flavor=keystone
  put $GLANCE DEFAULT bind_host=$IP workers=2
  put $GLANCE glance_store stores=file,http default_store=file
  put $GLANCE barbican auth_endpoint=http://$IP:5000/v3
  tokens $GLANCE glance
  put $BARBICAN DEFAULT host_href=http://$IP:9311 sql_connection="$(db barbican barbican)" db_auto_create=false
  put $BARBICAN database connection="$(db barbican barbican)" # as it is called from 2023.2 on
  put $BARBICAN keystone_notifications enable=false
  put $BARBICAN simple_crypto_plugin kek=dGhpcnR5X3R3b19ieXRlX2tleWJsYWhibGFoYmxhaGg= # what was the default, up to 2025
  tokens $BARBICAN barbican
}

configure_compute() {
  put $PLACEMENT placement_database connection="$(db placement placement)"
  put $PLACEMENT api auth_strategy=keystone
  tokens $PLACEMENT placement
  put $NOVA DEFAULT my_ip=$IP transport_url=$RABBIT enabled_apis=osapi_compute allow_resize_to_same_host=true
  put $NOVA conductor workers=1
  put $NOVA DEFAULT running_deleted_instance_poll_interval=20 # not half an hour, for a server deleted while it is built
  put $NOVA scheduler workers=1 discover_hosts_in_cells_interval=5
  put $NOVA api_database connection="$(db nova nova_api)"
  put $NOVA database connection="$(db nova nova)"
  put $NOVA service_user send_service_user_token=true
  put $NOVA neutron service_metadata_proxy=false
  put $NOVA glance api_servers=http://$IP:9292
  put $NOVA barbican auth_endpoint=http://$IP:5000/v3
  put $NOVA oslo_concurrency lock_path=/var/lock/nova
  put $NOVA DEFAULT cpu_allocation_ratio=64 # a hundred small servers on two processors
  put $NOVA vnc enabled=false
  put $NOVA filter_scheduler enabled_filters=$FILTERS
  put $NOVA serial_console enabled=true base_url=ws://$IP:6083/ serialproxy_host=$IP proxyclient_address=$IP
  tokens $NOVA nova
  login $NOVA service_user nova; login $NOVA placement placement; login $NOVA neutron neutron
}

configure_libvirt() { # whose own way to know nova asks the system's D-Bus, which does not run here
  printf '%s\n' 'unix_sock_group = "libvirt"' 'unix_sock_rw_perms = "0770"' 'auth_unix_rw = "none"' >/etc/libvirt/libvirtd.conf
}

configure_rootwrap() {
  local s
  install -D -m 0755 "$here/ebtables" /usr/local/sbin/ebtables # before Debian's own in sudo's path
  for s in nova neutron; do
    echo "$s ALL = (root) NOPASSWD: /usr/bin/$s-rootwrap, /usr/bin/$s-rootwrap-daemon" >/etc/sudoers.d/ndock-cloud-$s
  done
  for s in nova neutron glance; do install -d -o $s -g $s /var/lock/$s; done
}

clouds_yaml() {
  local auth="auth_url: http://$IP:5000/v3, password: $PASS, project_domain_name: Default, user_domain_name: Default"
  install -d /etc/openstack
  cat >/etc/openstack/clouds.yaml <<Y
clouds:
  ndock:       # the administrator
    auth: {username: admin, project_name: admin, $auth}
    region_name: RegionOne
    identity_api_version: 3
  ndock-demo:  # an ordinary tenant
    auth: {username: demo, project_name: demo, $auth}
    region_name: RegionOne
    identity_api_version: 3
Y
}
