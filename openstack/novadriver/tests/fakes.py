"""What the driver speaks to, in memory: an agent that has containers and ports, and Nova's wait for Neutron."""

import contextlib
import hashlib
import inspect
import io
import json

from nova import exception
from nova.virt import virtapi
from nova.virt.docker import agent as ndock

FOUND = {'id': 'sha256:abc', 'architecture': 'x86_64', 'size': 4096}
ARCHIVE = b'the archive of a snapshot'
MEASURED = {
    'state': 'running', 'exit_code': 0, 'oom_killed': False, 'error': '', 'health': 'healthy',
    'started_at': '2026-11-25T06:00:00.5Z', 'finished_at': '0001-01-01T00:00:00Z', 'uptime': 7,
    'cpu_time': 5000, 'memory_used': 3 << 20, 'memory_limit': 64 << 20, 'processes': 2,
    'devices': ['a.com/card=1'],
    'nics': [{'name': 'eth0', 'mac_address': 'fa:16:3e:00:00:01', 'rx_bytes': 1, 'rx_packets': 2, 'rx_errors': 3, 'rx_dropped': 4,
              'tx_bytes': 5, 'tx_packets': 6, 'tx_errors': 7, 'tx_dropped': 8}],
}


BASE = ('id', 'name', 'status', 'size', 'visibility', 'owner', 'container_format', 'disk_format', 'min_disk', 'os_hidden',
        'os_hash_algo', 'os_hash_value')


class Record(dict):
    """An image as glanceclient has it: what is not its own is a property."""

    schema = {'name': 'image', 'properties': {name: {'description': ''} for name in BASE}}

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name)


class Agent:
    """An agent that does as it is told, and refuses what its host has nothing for; failing maps a verb to what it raises."""

    def __init__(self):
        self.log = []  # what it was asked, with the details
        self.failing = {}
        self.images = set()
        self.left_out = []  # the layers that the archive of an image leaves out
        self.layers = set()  # the digests of those that are here
        self.sent = []  # the parts of each upload with layers: names and what was written
        self.commit_layers = []  # of a snapshot that can be had one by one
        self.tars = {}  # of those layers, by diff id
        self.held = False  # a commit, while its block lasts
        self.containers = {}  # by server, each with the ports that it was started with
        self.backups = {}  # by server
        self.ports = set()  # that are plugged
        self.refusal = None  # raised at the end of an upload
        self.output = b''
        self.port = {'port': 10000}
        self.resources = {
            'architecture': 'x86_64', 'cpu_model': 'A Processor @ 2 GHz', 'vcpus': 8, 'memory_mb': 16000,
            'memory_used_mb': 3000, 'disk_gb': 100, 'disk_used_gb': 40, 'engine_version': 20010024,
            'memory_foreign_mb': 0, 'disk_foreign_gb': 0, 'root_disks': {'limited': False, 'reason': 'no quotas'},
            'runtimes': ['runc'], 'page_kb': 4, 'numa_nodes': [
                {'id': 0, 'cpus': [0, 1, 4, 5], 'siblings': [[0, 4], [1, 5]], 'memory_mb': 8000},
                {'id': 1, 'cpus': [2, 3, 6, 7], 'siblings': [[2, 6], [3, 7]], 'memory_mb': 8000},
            ],
            'uptime': ' 12:00:00 up 3 days,  1:02,  0 users,  load average: 0.10, 0.20, 0.30',
        }

    def _asked(self, verb, *details):
        self.log.append((verb,) + details)
        if verb in self.failing:
            raise self.failing[verb]

    def asked(self, verb):
        """The details of each time that it was asked this."""
        return [entry[1:] for entry in self.log if entry[0] == verb]

    def there(self):
        """All that servers have on this host: containers with their states, backups, and plugged ports."""
        return (['%s %s' % (uuid, found['state']) for uuid, found in sorted(self.containers.items())] +
                ['%s backup' % uuid for uuid in sorted(self.backups)] +
                ['port %s' % port for port in sorted(self.ports)])

    def _container(self, uuid):
        if uuid not in self.containers:
            raise exception.InstanceNotFound(instance_id=uuid)
        return self.containers[uuid]

    def version(self):
        self._asked('version')
        return {'agent': '1', 'engine': '20.10.24', 'api': '1.41'}

    def host(self):
        self._asked('host')
        return self.resources

    def instances(self):
        self._asked('instances')
        return list(self.containers.values())

    def servers(self):
        self._asked('servers')
        return sorted(set(self.containers) | set(self.backups))

    def instance(self, uuid):
        self._asked('instance', uuid)
        return self._container(uuid)

    def plugged(self, uuid):
        if 'plugged' in self.failing:
            raise self.failing['plugged']
        return sorted(self.ports)

    def plug(self, uuid, ports):
        self.ports.update(port['id'] for port in ports)  # also when it fails: some of them may be plugged
        self._asked('plug', uuid, ports)

    def unplug(self, uuid, ports):
        self._asked('unplug', uuid, ports)
        self.ports.difference_update(port['id'] for port in ports)

    def has_image(self, image_id):
        self._asked('has_image', image_id)
        return image_id in self.images

    def reserve_devices(self, uuid, wanted):
        self._asked('reserve_devices', uuid, wanted)
        return ['a.com/card=%d' % number for number in range(sum(wanted['devices'].values()))]

    def create(self, uuid, spec):
        self._asked('create', uuid, spec)
        if uuid in self.containers:
            raise ndock.AgentError(reason='server %s has a container' % uuid)
        if spec['source'] and uuid not in self.backups:
            raise ndock.AgentError(reason='server %s has no backup' % uuid)
        if spec['source'] != 'aside' and spec['image_id'] not in self.images:
            raise ndock.AgentError(reason='image %s is not there' % spec['image_id'])
        self.container(uuid, 'stopped', spec=spec)

    def container(self, uuid, state, **fields):
        """A server's container, as if it had been made before."""
        self.containers[uuid] = dict({
            'uuid': uuid, 'name': 'web', 'container_id': 'c' * 64, 'state': state, 'ports': set(), 'spec': None}, **fields)
        return self.containers[uuid]

    def destroy(self, uuid, ports, keep=''):
        self._asked('destroy', uuid, ports, keep)
        self.containers.pop(uuid, None)
        if keep != 'aside':
            self.backups.pop(uuid, None)
        if not keep:
            self.ports.difference_update(port['id'] for port in ports)

    def back_up(self, uuid, grace=0, commit=False):
        self._asked('back_up', uuid, grace, *(['commit'] if commit else []))
        if uuid in self.backups:
            raise ndock.AgentError(reason='server %s has a backup' % uuid)
        self.backups[uuid] = dict(self._container(uuid), state='stopped')
        del self.containers[uuid]

    def restore(self, uuid):
        self._asked('restore', uuid)
        if uuid not in self.backups:
            raise exception.InstanceNotFound(instance_id=uuid)
        self.containers[uuid] = self.backups.pop(uuid)

    def discard_backup(self, uuid, ports):
        self._asked('discard_backup', uuid, ports)
        self.backups.pop(uuid, None)

    def attach(self, uuid, port, join=True):
        self.ports.add(port['id'])
        self._asked('attach' if join else 'prepare_port', uuid, port)
        if join:
            self._container(uuid)['ports'].add(port['id'])

    def detach(self, uuid, port):
        self._asked('detach', uuid, port)
        self._container(uuid)['ports'].discard(port['id'])
        self.ports.discard(port['id'])

    def set_password(self, uuid, password):
        self._asked('set_password', uuid, password)

    def diagnostics(self, uuid):
        self._asked('diagnostics', uuid)
        return MEASURED

    def age_images(self, unused_seconds):
        self._asked('age_images', unused_seconds)

    def forget_image(self, image_id):
        self._asked('forget_image', image_id)
        self.images.discard(image_id)

    def act(self, uuid, verb, grace=0, commit=False):
        self._asked(verb, uuid, grace, *(['commit'] if commit else []))
        container = self._container(uuid)
        container['state'] = {'stop': 'stopped', 'pause': 'paused'}.get(verb, 'running')
        if verb in ('start', 'restart'):
            container['ports'] = set(self.ports)

    def console(self, uuid):
        self._asked('console', uuid)
        return self.output

    def serial(self, uuid, asked):
        self._asked('serial', uuid, asked)
        return self.port

    def needed_layers(self, image_id, layers):
        self._asked('needed_layers', image_id, layers)
        return [layer['digest'] for layer in layers if not layer['checksum'] or layer['digest'] not in self.layers]

    @contextlib.contextmanager
    def load_image(self, image_id, root_gb=0, layers=None):
        self._asked('load_image', image_id, root_gb)
        upload = Upload()
        yield upload
        if self.refusal:
            raise self.refusal
        if self.left_out and layers is None:
            error = ndock.LayersLeftOut(reason='it leaves out its layer 1')
            error.layers = self.left_out
            raise error
        if layers is not None:
            self.sent.append(upload.parts)
            sent = [name for name, _ in upload.parts]
            if any(layer['digest'] not in sent and layer['digest'] not in self.layers for layer in layers):
                raise ndock.LayersLeftOut(reason='it leaves out a layer')
        self.images.add(image_id)

    @contextlib.contextmanager
    def snapshot(self, uuid):
        self._asked('snapshot', uuid)
        yield FOUND, Stream(ARCHIVE)

    @contextlib.contextmanager
    def commit(self, uuid):
        self._asked('commit', uuid)
        self.held = True
        try:
            yield dict(FOUND, layers=self.commit_layers)
        finally:
            self.held = False

    @contextlib.contextmanager
    def commit_layer(self, commit_id, diff_id):
        self._asked('commit_layer', commit_id, diff_id)
        assert self.held and commit_id == FOUND['id']
        yield HashedStream(self.tars[diff_id])

    @contextlib.contextmanager
    def commit_archive(self, commit_id, layers=None):
        self._asked('commit_archive', commit_id, layers)
        assert self.held and commit_id == FOUND['id']
        if layers and 'layered' in self.failing:
            raise self.failing['layered']
        yield Stream(ARCHIVE if layers is None else json.dumps(layers).encode())

    def events(self, silence):
        raise NotImplementedError('tests of the events bring their own')


class Upload(io.BytesIO):
    """What agent.Upload is to the driver, which keeps what it got, part by part."""

    def __init__(self):
        super().__init__()
        self.parts = [('archive', b'')]

    def begin(self, name):
        self.parts.append((name, b''))

    def write(self, content):
        name, before = self.parts[-1]
        self.parts[-1] = (name, before + content)


class Stream(io.BytesIO):
    """What agent.Download is to the driver: a file that knows how much was read from it, and the digest of an image's manifest."""

    digest = 'sha256:manifest'

    @property
    def count(self):
        return self.tell()


class HashedStream(Stream):
    """What agent.HashedDownload is to the driver."""

    @property
    def sha512(self):
        return hashlib.sha512(self.getvalue()[:self.tell()])


class OldVirtAPI(virtapi.VirtAPI):
    """nova-compute up to 32: the time limit is called deadline."""

    def __init__(self, agent):
        super().__init__()
        self.agent = agent
        self.waits = []  # the events and the time limit of each
        self.before = None  # what the agent had when the events were announced
        self.waiting = None  # what it had when nothing was left to do but wait for them
        self.raises = None    # at the end of the wait, instead of the events
        self.answers = False  # the events come, but Neutron says that it failed

    @contextlib.contextmanager
    def wait_for_instance_event(self, instance, event_names, deadline=300, error_callback=None):
        self._announced(event_names, deadline)
        yield
        self._wait(instance, event_names, error_callback)

    def _announced(self, event_names, limit):
        self.waits.append((tuple(event_names), limit))
        self.before = self.agent.there()

    def _wait(self, instance, event_names, error_callback):
        self.waiting = self.agent.there()
        if self.raises is not None:
            raise self.raises
        if self.answers:
            for name, tag in event_names:
                error_callback('%s-%s' % (name, tag), instance)


class NewVirtAPI(OldVirtAPI):
    """nova-compute from 33: it is called timeout."""

    @contextlib.contextmanager
    def wait_for_instance_event(self, instance, event_names, timeout=300, error_callback=None):
        self._announced(event_names, timeout)
        yield
        self._wait(instance, event_names, error_callback)


# The one that is like this Nova's own.
OWN = inspect.signature(virtapi.VirtAPI.wait_for_instance_event).parameters
VirtAPI = NewVirtAPI if 'timeout' in OWN else OldVirtAPI
