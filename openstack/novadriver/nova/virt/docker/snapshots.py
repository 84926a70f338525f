"""A snapshot on its way into Glance: the layers that Glance lacks, and an archive that leaves out all large ones.

A layer is a hidden image of the snapshot's owner, with the digest of its bytes as its name once they are whole. So an owner
has each layer once, however many snapshots have it.
"""

import json
import logging
import uuid

from nova.image import glance

from nova.virt.docker import agent as ndock
from nova.virt.docker import layers as glance_layers
from nova.virt.docker import wire

LOG = logging.getLogger(__name__)

LEAST = 1 << 20  # bytes: smaller layers are in the archive
TAR = 'application/vnd.oci.image.layer.v1.tar'


def send(agent, images, context, image_id, commit, owner):
    """Give an image that Nova has made the content of a commit, which the agent keeps meanwhile.

    It is sent in layers only where it is the owner's. That of an administrator is shared with the server's project, which
    could not read his layers.
    """
    current = images.get(context, image_id)
    if commit['layers'] and current['owner'] == owner:
        try:
            layers = _send_layered(agent, images, context, image_id, current, commit)
        except Exception as error:  # Docker's files, or a rule of Glance's: one image may be possible all the same
            current = images.get(context, image_id)  # with what was said of it for layers
            if current['status'] not in ('queued', 'saving'):  # Glance takes no other bytes for it
                raise
            LOG.warning('Snapshot %s is sent whole: %s', image_id, error)
        else:
            return _look_again(agent, images, context, current['owner'], commit, layers)
    with agent.commit_archive(commit['id']) as data:
        upload(images, context, image_id, wire.image(commit, current), data)


def upload(images, context, image_id, described, data):
    """Give an image its bytes, and what is said of it; return what Glance has then, which is all of it."""
    # What the image has inherited from the server's own stays: purge_props would drop it.
    stored = images.update(context, image_id, described, data, purge_props=False)
    if stored['size'] != data.count:  # Nova sent it again after a fault of Glance's, from where it was then
        raise ndock.AgentError(reason='Glance has %s bytes of the %s that were sent' % (stored['size'], data.count))
    return stored


def _send_layered(agent, images, context, image_id, current, commit):
    """Send the layers that Glance lacks, and the archive; return how each layer is stored."""
    large = [layer for layer in commit['layers'] if layer['size'] > LEAST]
    known = _there(images, context, current['owner'], [form['digest'] for layer in large for form in _forms(layer)])
    stored, sent = {}, 0
    for layer in large:
        if layer['diff_id'] not in stored:
            found = _found(layer, known)
            stored[layer['diff_id']] = found or _send(agent, images, context, current['owner'], commit['id'], layer)
            sent += not found
    layers = [stored.get(layer['diff_id']) or _stored(layer, layer['diff_id'], layer['size']) for layer in commit['layers']]
    with agent.commit_archive(commit['id'], layers) as data:
        upload(images, context, image_id, wire.layered_image(commit, current, layers, data.digest), data)
    LOG.info('Snapshot %s: of %d layers %d were sent, and %d were in Glance', image_id, len(layers), sent, len(stored) - sent)
    return layers


def _there(images, context, owner, digests):
    """The layers with these digests, as pushes and collectors know them: by name and property."""
    known = glance_layers.by_name(images, context, owner, digests)
    return {name: image for name, image in known.items() if image['properties'].get('docker_layer') == name}


def _forms(layer):
    """The bytes by which Glance may have a layer: those that this host knows, and the tar that it can make."""
    return layer['stored'] + [{'digest': layer['diff_id'], 'size': layer['size']}]


def _found(layer, known):
    for form in _forms(layer):
        image = known.get(form['digest'])
        if image and _is(image, form):
            return _stored(layer, form['digest'], image['size'], image['id'], image['properties'].get('docker_layer_type') or TAR)
    return None


def _is(image, form):
    # That compressed bytes are this layer is known of bytes with this checksum alone. A tar has the layer's digest as its name.
    checksum = form.get('checksum')
    return checksum == glance_layers.checksum(image) if checksum else form.get('size') == image['size']


def _stored(layer, digest, size, image_id='', media_type=TAR):
    return {'diff_id': layer['diff_id'], 'digest': digest, 'size': size, 'media_type': media_type, 'image': image_id}


def _send(agent, images, context, owner, commit_id, layer):
    """Make a layer an image. It has its name only when Glance has all of it: until then nobody finds it."""
    record = images.create(context, wire.layer_upload('upload %s' % uuid.uuid4()))
    try:
        if record['owner'] != owner:
            raise ndock.AgentError(reason="a layer would be project %s's, and the snapshot is %s's" % (record['owner'], owner))
        with agent.commit_layer(commit_id, layer['diff_id']) as data:
            unpacked = {'docker_unpacked_size': str(layer['unpacked'])}
            stored = upload(images, context, record['id'], {'properties': unpacked}, data)
        if data.count != layer['size'] or glance_layers.checksum(stored) not in ('', data.sha512.hexdigest()):
            raise ndock.AgentError(reason='Glance has other bytes of layer %s than were sent' % layer['diff_id'])
    except BaseException:  # up to Nova 32 a timeout is no Exception
        _discard(images, context, record['id'])
        raise
    try:
        _name(context, record['id'], layer['diff_id'])
    except Exception as error:
        if getattr(error, 'code', None) in (400, 403, 409):  # bad request, forbidden, conflict: it was not done
            _discard(images, context, record['id'])
        raise  # after other faults others may have found the layer: 'ndock image gc' removes it then
    return _stored(layer, layer['diff_id'], layer['size'], record['id'])


def _name(context, image_id, digest):
    """Make an upload the layer with this digest, unless it is none any more.

    'ndock image gc' takes docker_layer away from an upload that was abandoned, and Glance replaces nothing that is not
    there. Nova's own update would look first, and add it.
    """
    changes = [{'op': op, 'path': '/' + name, 'value': value} for op, name, value in (
        ('replace', 'docker_layer', digest), ('add', 'docker_layer_diff_id', digest), ('add', 'docker_layer_type', TAR),
        ('replace', 'name', digest))]
    glance.GlanceClientWrapper().call(context, 2, 'patch', controller='http_client', args=('/v2/images/%s' % image_id,), kwargs={
        'headers': {'Content-Type': 'application/openstack-images-v2.1-json-patch'}, 'data': json.dumps(changes)})


def _discard(images, context, image_id):
    try:
        images.delete(context, image_id)
    except Exception as error:  # the first one is what the log has to say
        LOG.error('Image %s, which should have become a layer, is not removed: %s', image_id, error)


def _look_again(agent, images, context, owner, commit, layers):
    """Look for all that the archive leaves out, now that it can be read, and once send what is gone.

    Who removes layers renames them first, and reads the archives afterwards: so one of the two sees the other. What the
    archive says cannot be changed any more; where it names a layer that cannot be made again, Nova deletes it, as any
    snapshot that fails.
    """
    missing = _missing(images, context, owner, layers)
    if not missing:
        return
    for digest in missing:
        layer = next((layer for layer in commit['layers'] if layer['diff_id'] == digest), None)
        if layer is None:  # it was compressed: this host can make its tar alone
            raise _removed(digest)
        LOG.info('Layer %s was removed from Glance meanwhile, and is sent again', digest)
        _send(agent, images, context, owner, commit['id'], layer)
    missing = _missing(images, context, owner, layers)
    if missing:
        raise _removed(missing[0])


def _missing(images, context, owner, layers):
    digests = sorted({layer['digest'] for layer in layers if layer['image']})
    known = _there(images, context, owner, digests)
    return [digest for digest in digests if digest not in known]


def _removed(digest):
    return ndock.AgentError(reason='layer %s was removed from Glance meanwhile: take the snapshot again' % digest)
