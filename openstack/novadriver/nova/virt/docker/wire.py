"""Nova's objects as the agent's JSON."""

from nova.compute import vm_states
from nova import exception

from nova.virt.docker import cpus
from nova.virt.docker import inventory


def ports(network_info):
    """Each port as Neutron bound it. Iterating waits for an allocation that is still under way."""
    return [dict(vif) for vif in network_info or ()]


def image_id(instance, image_meta):
    """The image to boot from: a rescue has one of its own."""
    return image_meta.id if image_meta.obj_attr_is_set('id') and image_meta.id else instance.image_ref


def devices(instance, allocations, provider, others):
    """How many devices a server is to have, by class: what Placement has allocated to it on this host, whose provider it is.

    What is neither the host's own nor of others can only be devices. An evacuated server has an allocation on another host, too.
    Each has one here. Where Nova could not ask Placement it goes on with none, and the server would be without its devices. One
    whose flavor asks for none needs no answer.
    """
    if provider not in (allocations or {}):
        if not asked(instance.flavor.extra_specs) - inventory.HOSTS - others:
            return {}
        raise exception.ConsumerAllocationRetrievalFailed(
            consumer_uuid=instance.uuid, error='Placement has not said what the server has on this host. Try it again')
    given = allocations[provider]['resources']
    return {name: given[name] for name in given.keys() - inventory.HOSTS - others}


def asked(extra_specs):
    """The classes that a flavor asks for by itself: resources:PGPU=1, resources_GROUP:PGPU=1."""
    named = (key.partition(':') for key, value in extra_specs.items() if key.startswith('resources') and value != '0')
    return {name for _, colon, name in named if colon}


def spec(instance, image_meta, image_ref, source='', **guest):
    """What a container is made from; guest is what only a new one gets."""
    properties = image_meta.properties
    return {
        'name': instance.display_name,
        'hostname': instance.hostname,
        'project_id': instance.project_id,
        'user_id': instance.user_id,
        'image_id': image_ref,
        'source': source,
        'new': instance.vm_state == vm_states.BUILDING,
        'vcpus': instance.flavor.vcpus,
        'memory_mb': instance.flavor.memory_mb,
        'root_gb': instance.flavor.root_gb,
        'metadata': dict(instance.metadata),
        # base64, as Nova keeps it. What it says of the process may be what a server is to be rescued from.
        'user_data': instance.user_data if source != 'rescue' else None,
        'os_command_line': properties.get('os_command_line'),
        'extra_specs': dict(instance.flavor.extra_specs),
        **cpus.of(instance),
        **guest,
    }


# What is true of the image that a server was made of, and not of its snapshot, which inherits all properties.
OF_THE_BASE = (
    'docker_image_digest', 'docker_manifest_type', 'docker_subject', 'docker_tagged_at', 'docker_layers', 'docker_stored_size',
    'trait:CUSTOM_NDOCK_LAYERS',
)


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
            **{name: '' for name in OF_THE_BASE if name in current.get('properties', {})},
        },
    }


def layered_image(found, current, layers, digest):
    """The Glance image that a snapshot becomes whose layers are stored like this, some as images of their own.

    A registry finds it by the digest of its manifest.
    """
    sizes = {layer['digest']: layer['size'] for layer in layers}
    described = image(found, current)
    described['properties'].update({
        'docker_image_digest': digest,
        'docker_layers': str(len(layers)),
        'docker_stored_size': str(sum(sizes.values())),
        'trait:CUSTOM_NDOCK_LAYERS': 'required',
    })
    return described


def layer_upload(name):
    """The Glance image that becomes a layer, while it is none yet."""
    return {
        'name': name,
        'os_hidden': True,
        'visibility': 'private',
        'disk_format': 'raw',
        'container_format': 'docker',
        'properties': {'docker_layer': 'upload'},
    }


def parcel(instance):
    """The Glance image by which a server's files go to another host, before it has them."""
    return {
        'name': 'server %s on its way to another host' % instance.uuid,
        'disk_format': 'raw',
        'container_format': 'docker',
        'visibility': 'private',
        'properties': {'hypervisor_type': 'docker'},
    }
