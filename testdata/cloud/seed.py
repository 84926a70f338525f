#!/usr/bin/python3
"""Create what an empty cloud needs: service users and the catalogue, a tenant, a network, flavors.

Usage: seed.py identity PASSWORD | seed.py resources | OS_CLOUD=ndock-demo seed.py group NAME
What exists already is left as it is.
"""
import os
import sys

import openstack

HOST = "http://127.0.0.1"
SERVICES = {
    "barbican": ("key-manager", f"{HOST}:9311"),
    "glance": ("image", f"{HOST}:9292"),
    "placement": ("placement", f"{HOST}:8778"),
    "nova": ("compute", f"{HOST}:8774/v2.1"),
    "neutron": ("network", f"{HOST}:9696"),
}
FLAVORS = {"m1.tiny": (64, 1, 1), "m1.small": (256, 1, 5), "m1.medium": (1024, 2, 10)}  # MiB, vCPUs, GiB
NETWORK = "198.51.100.0/24"
GATEWAY = "198.51.100.1"  # this host


def identity(cloud, password):
    keystone = cloud.identity
    project = keystone.find_project("service") or keystone.create_project(name="service")
    roles = [keystone.find_role("admin"), keystone.find_role("service") or keystone.create_role(name="service")]
    for name, (kind, url) in SERVICES.items():
        user = keystone.find_user(name) or keystone.create_user(name=name, password=password)
        for role in roles:
            keystone.assign_project_role_to_user(project, user, role)
        service = keystone.find_service(name) or keystone.create_service(name=name, type=kind)
        endpoints(keystone, service, url)
    tenant(keystone, "demo", password)


def endpoints(keystone, service, url):
    there = {endpoint.interface for endpoint in keystone.endpoints(service_id=service.id)}
    for interface in {"public", "internal", "admin"} - there:
        keystone.create_endpoint(service_id=service.id, interface=interface, url=url, region_id="RegionOne")


def tenant(keystone, name, password):
    project = keystone.find_project(name) or keystone.create_project(name=name)
    user = keystone.find_user(name) or keystone.create_user(name=name, password=password)
    for role in ("member", "creator"):  # the second is Barbican's
        keystone.assign_project_role_to_user(project, user, keystone.find_role(role) or keystone.create_role(name=role))


def resources(cloud):
    net = cloud.network.find_network("private") or cloud.network.create_network(
        name="private", shared=True, provider_network_type="flat", provider_physical_network="physnet1")
    cloud.network.update_network(net, is_router_external=True)  # it is for servers, and for floating IPs
    if not cloud.network.find_subnet("private"):
        cloud.network.create_subnet(
            name="private", network_id=net.id, ip_version=4, cidr=NETWORK, gateway_ip=GATEWAY)
    for name, (ram, vcpus, disk) in FLAVORS.items():
        if not cloud.compute.find_flavor(name):
            cloud.compute.create_flavor(name=name, ram=ram, vcpus=vcpus, disk=disk)


def group(cloud, name):
    """A security group that lets everyone in by ICMP and TCP."""
    if cloud.network.find_security_group(name):
        return
    made = cloud.network.create_security_group(name=name)
    for protocol in ("icmp", "tcp"):
        cloud.network.create_security_group_rule(
            security_group_id=made.id, direction="ingress", ethertype="IPv4", protocol=protocol)


if __name__ == "__main__":
    connection = openstack.connect(cloud=os.environ.get("OS_CLOUD", "ndock"))
    {"identity": identity, "resources": resources, "group": group}[sys.argv[1]](connection, *sys.argv[2:])
