"""Nova's objects as the agent's JSON."""


def ports(network_info):
    """Each port as Neutron bound it. Iterating waits for an allocation that is still under way."""
    return [dict(vif) for vif in network_info or ()]


def spec(instance, image_meta):
    """What a container is made from."""
    properties = image_meta.properties
    return {
        'name': instance.display_name,
        'hostname': instance.hostname,
        'project_id': instance.project_id,
        'user_id': instance.user_id,
        'image_id': instance.image_ref,
        'vcpus': instance.flavor.vcpus,
        'memory_mb': instance.flavor.memory_mb,
        'root_gb': instance.flavor.root_gb,
        'metadata': dict(instance.metadata),
        'user_data': instance.user_data,  # base64, as Nova keeps it
        'os_command_line': properties.get('os_command_line'),
    }


def image(found, current):
    """The Glance image that a snapshot becomes: what the agent found, on what Nova has put down already."""
    return {
        'status': 'active',
        'name': current.get('name'),
        'disk_format': 'raw',
        'container_format': 'docker',
        'properties': {
            'hypervisor_type': 'docker',
            'architecture': found['architecture'],
            'docker_image_id': found['id'],
            'docker_unpacked_size': str(found['size']),
            'docker_tags': '',
        },
    }
