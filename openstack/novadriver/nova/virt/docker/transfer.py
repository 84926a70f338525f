"""How a server's files get to another host: through Glance, as an image of the one who moves the server.

So no host needs to reach another, or to trust it; and both ends are what a snapshot and a boot are made of.
"""

import json
import logging

from nova.virt.docker import snapshots
from nova.virt.docker import wire

LOG = logging.getLogger(__name__)


def send(agent, images, context, instance):
    """Put the server's files into Glance and return what image_of() needs to know, as a string."""
    image_id = images.create(context, wire.parcel(instance))['id']  # known before a byte is sent, so that it can be removed
    try:
        with agent.snapshot(instance.uuid) as (found, data):
            snapshots.upload(images, context, image_id, {'properties': {'docker_image_id': found['id']}}, data)
    except BaseException:  # up to Nova 32 a timeout is no Exception
        discard(agent, images, context, image_id)
        raise
    return json.dumps({'image': image_id})


def image_of(disk_info):
    """The id of the image that send() made; None when the server stays on its host."""
    return json.loads(disk_info)['image'] if disk_info else None


def discard(agent, images, context, image_id):
    """Delete the image, here and in Glance; a server that has come up does not fail for it."""
    for remove in (lambda: agent.forget_image(image_id), lambda: images.delete(context, image_id)):
        try:
            remove()
        except Exception as error:  # Nova passes on most of Glance's and Keystone's as they are
            LOG.error('Image %s, by which a server goes to another host, is not removed: %s', image_id, error)
