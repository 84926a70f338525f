"""How a server's files get to another host: through Glance, as an image of the one who moves the server.

So no host needs to reach another, or to trust it; and both ends are what a snapshot and a boot are made of.
"""

import json
import logging

from nova.virt.docker import agent as ndock
from nova.virt.docker import wire

LOG = logging.getLogger(__name__)


def send(agent, images, context, instance):
    """Put the server's files into Glance and return what receive() needs to know, as a string."""
    with agent.snapshot(instance.uuid) as (found, data):
        stored = images.create(context, wire.parcel(found, instance), data)
    if stored['size'] != data.count:
        discard(agent, images, context, stored['id'])
        raise ndock.AgentError(reason='Glance has %s bytes of the %s that the server has' % (
            stored['size'], data.count))
    return json.dumps({'image': stored['id']})


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
