"""Images whose layers are Glance images of their own: what this host lacks of them, and where it comes from.

An archive proves nothing by what it says of a layer that it leaves out: its owner could name any layer of another
project's. So a layer counts only if Glance has it with the archive's owner, and this host does without its bytes only if it
knows what is in bytes with the checksum that Glance has computed.
"""

import re

from nova import exception
from nova.image import glance

from nova.virt.docker import agent as ndock
from nova.virt.docker import compat

UUID = re.compile('[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
CONDEMNED = 'condemned '  # before the name of a layer that 'ndock image gc' is about to delete, and keeps if an image needs it
AT_ONCE = 40  # names in one query: Glance takes URLs of 8 KB


def fetch(agent, images, context, image_id, left_out, root_gb=0, trusted_certs=None):
    """Have an image on this host whose archive leaves out these layers, as the agent has listed them."""
    archive = images.get(context, image_id, include_locations=True)
    # Who may read an image may read its layers. They are private, so another project's reader gets them through Nova.
    reader = context if context.project_id == archive['owner'] else _of_nova(context)
    found = _find(images, reader, archive['owner'], left_out)
    if archive.get('locations'):  # where users may give an image's location, they may say its checksum, too
        found = _without_checksums(found)

    def send(layers):
        needed = agent.needed_layers(image_id, layers)
        with agent.load_image(image_id, root_gb, layers) as upload:
            images.download(context, image_id, data=upload, trusted_certs=trusted_certs)
            for layer in layers:
                if layer['digest'] in needed:
                    upload.begin(layer['digest'])
                    _download(reader, layer['image'], upload)

    try:
        send(found)
    except ndock.LayersLeftOut:
        send(_without_checksums(found))  # Docker has lost a layer meanwhile: once more, with all of them


def _of_nova(context):
    try:
        return compat.service_context()
    except exception.NovaException:
        if not context.is_admin:
            raise
        return context  # an administrator, who evacuates a server as a rule, may read them himself


def _without_checksums(layers):
    return [dict(layer, checksum='') for layer in layers]


def _find(images, context, owner, layers):
    """The layers with the ids and the checksums that they have in Glance."""
    names = [name for layer in layers for name in (layer['digest'], CONDEMNED + layer['digest'])]
    known = by_name(images, context, owner, names)
    return [_found(known.get(layer['image']) or known.get(layer['digest']) or known.get(CONDEMNED + layer['digest'])
                   or _hinted(images, context, owner, layer), layer) for layer in layers]


def by_name(images, context, owner, names):
    """The owner's hidden images that have these names, by which layers are called: by their names, and by their ids."""
    known = {}
    for start in range(0, len(names), AT_ONCE):
        quoted = ','.join('"%s"' % name for name in names[start:start + AT_ONCE])
        filters = {'name': 'in:' + quoted, 'os_hidden': True, 'owner': owner, 'status': 'active'}
        for image in images.get_all(context, filters=filters):
            if image['owner'] == owner:
                known[image['name']] = known[image['id']] = image
    return known


def _hinted(images, context, owner, layer):
    """The image that the archive names. Its name may have changed: it is about to be removed, and still there."""
    if not UUID.fullmatch(layer['image']):  # Nova takes a URL, too, and would send the token there
        return None
    try:
        image = images.get(context, layer['image'], show_deleted=False)
    except (exception.ImageNotFound, exception.ImageNotAuthorized):
        return None
    return image if image['owner'] == owner and image['status'] == 'active' else None


def _found(image, layer):
    if image is None:
        raise ndock.UnusableImage(reason='its layer %s is not in Glance: delete the image, push again' % layer['digest'])
    return dict(layer, image=image['id'], checksum=checksum(image))


def checksum(image):
    """The SHA-512 that Glance has computed of an image, or '' where it has not."""
    return image.get('os_hash_algo') == 'sha512' and image.get('os_hash_value') or ''


def _download(context, image_id, upload):
    # Not by glance.API: where images must be signed, it wants a signature of each. The archive's covers the layers' digests.
    for chunk in glance.GlanceClientWrapper().call(context, 2, 'data', args=(image_id,)):
        upload.write(chunk)
