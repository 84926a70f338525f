"""The client of ndock's agent: HTTP and JSON on a unix socket that only root and nova may open."""

import contextlib
import hashlib
import http.client
import json
import socket
import time
import uuid as uuids

from nova import exception

SOCKET = '/run/ndock/agent.sock'
CHUNK = 1 << 20  # bytes read at once from a snapshot

# How long, in seconds, the agent may be silent. It limits its own work more tightly and says so; these only
# keep a worker of nova-compute from waiting forever.
QUICK = 60     # asks Docker, or changes one thing
START = 300    # starts a container by a program of the operator's, which may hang
END = 1800     # ends or removes containers: Docker waits until what was written is on the disk
LOAD = 3600    # unpacks an image, or commits a container
AWAY = 10      # how long a restarting agent is waited for before a call fails


class AgentError(exception.NovaException):
    """The agent refused or failed; the message is its own."""
    msg_fmt = '%(reason)s'


class AgentUnavailable(AgentError):
    msg_fmt = "ndock's agent does not answer on %(path)s: %(reason)s"


class UnusableImage(AgentError):
    """The image cannot become a container, on this host or any other."""


class BadRequest(AgentError):
    """What is asked cannot be done with this server. It stays as it is."""


class LayersLeftOut(AgentError):
    """The image's archive leaves layers out, which are to be sent, too."""
    layers = ()


class UnusableFlavor(AgentError):
    """The flavor says what cannot be done, on this host or any other."""


class UnusablePort(AgentError):
    """The port cannot have its addresses, on this host or any other."""


class NotRunning(AgentError):
    """The container does not run, or is paused."""


class NoTerminal(AgentError):
    """The container's process was not given a terminal."""


class NoFreePort(AgentError):
    """All ports for consoles are taken."""


FAULTS = {
    'bad_request': BadRequest,
    'unusable_image': UnusableImage,
    'layers_left_out': LayersLeftOut,
    'unusable_flavor': UnusableFlavor,
    'unusable_port': UnusablePort,
    'not_running': NotRunning,
    'no_terminal': NoTerminal,
    'no_free_port': NoFreePort,
}


def ending(grace, commit):
    """The query of what stops a container; commit says that an image is made of its files next."""
    return 'grace=%d%s' % (grace, '&commit=true' if commit else '')


class Connection(http.client.HTTPConnection):
    auto_open = 0  # what was closed stays closed: an upload is not continued on a connection of its own

    def __init__(self, path, timeout):
        super().__init__('agent', timeout=timeout)
        self._path = path

    def connect(self):
        self.close()  # an earlier try
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Agent:
    """The agent's verbs, one method each."""

    def __init__(self, path=SOCKET, away=AWAY):
        self._path = path
        self._away = away

    def version(self):
        return self._json('GET', '/v1/version')

    def host(self):
        return self._json('GET', '/v1/host')

    def instances(self):
        return self._json('GET', '/v1/instances')

    def servers(self):
        """The ids of all servers that have a container here, be it a backup."""
        return self._json('GET', '/v1/servers')

    def instance(self, uuid):
        return self._json('GET', '/v1/instances/%s' % uuid, uuid=uuid)

    def plugged(self, uuid):
        """The ids of the ports that are plugged already."""
        return self._json('GET', '/v1/instances/%s/ports' % uuid)

    def plug(self, uuid, ports):
        self._json('PUT', '/v1/instances/%s/ports' % uuid, ports)

    def unplug(self, uuid, ports):
        self._json('DELETE', '/v1/instances/%s/ports' % uuid, ports)

    def has_image(self, image_id):
        return self._json('GET', '/v1/images/%s' % image_id)['present']

    def reserve_devices(self, uuid, wanted):
        """Pick the devices of the host that the server's next container will have; return their names."""
        return self._json('PUT', '/v1/instances/%s/devices' % uuid, wanted)['devices']

    def create(self, uuid, spec):
        self._json('PUT', '/v1/instances/%s' % uuid, spec, timeout=LOAD)

    def destroy(self, uuid, ports, keep=''):
        """Remove the server; keep says what stays where its container is only replaced: ports, or aside (the backup)."""
        self._json('DELETE', '/v1/instances/%s%s' % (uuid, '?keep=' + keep if keep else ''), ports, timeout=END)

    def back_up(self, uuid, grace=0, commit=False):
        """Stop the container and make it the server's backup."""
        self._json('POST', '/v1/instances/%s/aside?%s' % (uuid, ending(grace, commit)), uuid=uuid, timeout=END + grace)

    def restore(self, uuid):
        self._json('POST', '/v1/instances/%s/restore' % uuid, uuid=uuid, timeout=END)

    def discard_backup(self, uuid, ports):
        self._json('DELETE', '/v1/instances/%s/aside' % uuid, ports, timeout=END)

    def attach(self, uuid, port, join=True):
        """Plug one more port. Unless join is set, no container gets it before it is attached once more."""
        query = '' if join else '?join=false'
        self._json('PUT', '/v1/instances/%s/ports/%s%s' % (uuid, port['id'], query), port, uuid=uuid)

    def detach(self, uuid, port):
        self._json('DELETE', '/v1/instances/%s/ports/%s' % (uuid, port['id']), uuid=uuid)

    def set_password(self, uuid, password):
        self._json('PUT', '/v1/instances/%s/password' % uuid, {'password': password}, uuid=uuid)

    def diagnostics(self, uuid):
        return self._json('GET', '/v1/instances/%s/diagnostics' % uuid, uuid=uuid)

    def age_images(self, unused_seconds):
        """Remove the images that no server has used for so long."""
        self._json('DELETE', '/v1/images', {'unused_seconds': unused_seconds}, timeout=LOAD)

    def forget_image(self, image_id):
        self._json('DELETE', '/v1/images/%s' % image_id)

    def act(self, uuid, verb, grace=0, commit=False):
        """start, stop, restart, pause or unpause; grace is what a process has, in seconds, to end by itself."""
        timeout = {'start': START, 'stop': END + grace, 'restart': END + grace}.get(verb, QUICK)
        self._json('POST', '/v1/instances/%s/%s?%s' % (uuid, verb, ending(grace, commit)), uuid=uuid, timeout=timeout)

    def console(self, uuid):
        with self._request('GET', '/v1/instances/%s/console' % uuid, uuid=uuid) as response, self._talking():
            return response.read()

    def serial(self, uuid, asked):
        """The port of the serial console, and the path to it if that is asked for."""
        return self._json('POST', '/v1/instances/%s/serial' % uuid, asked, uuid=uuid)

    def needed_layers(self, image_id, layers):
        """The digests of those layers of an image that this host lacks."""
        return self._json('POST', '/v1/images/%s/layers' % image_id, {'layers': layers})['needed']

    @contextlib.contextmanager
    def load_image(self, image_id, root_gb=0, layers=None):
        """A file to write a Docker archive to. It becomes an image when the block ends well, else nothing.

        root_gb is the flavor's disk that it has to fit on, in GiB, or 0. layers are those that the archive leaves out: then
        the file takes those that the host needs after it.
        """
        url = '/v1/images/%s%s' % (image_id, '?root_gb=%d' % root_gb if root_gb else '')
        with self._connected(LOAD) as connection:
            with self._talking():
                upload = Upload(connection, url) if layers is None else Parts(connection, url, layers)
            yield upload
            with self._talking():
                self._checked(upload.finish(), None)

    @contextlib.contextmanager
    def snapshot(self, uuid):
        """What the image is, and a file to read it from; the container is paused for the commit only."""
        with self._request('POST', '/v1/instances/%s/snapshot' % uuid, uuid=uuid, timeout=LOAD) as response:
            yield json.loads(response.headers['Ndock-Image']), Download(response)

    @contextlib.contextmanager
    def commit(self, uuid):
        """What an image of the server is, with its layers; the agent keeps it until the block ends."""
        with self._request('POST', '/v1/instances/%s/commit' % uuid, uuid=uuid, timeout=LOAD) as response:
            with self._talking():
                commit = json.loads(response.readline() or 'null')
            if commit is None:
                raise AgentUnavailable(path=self._path, reason='it ended before the commit')
            yield commit

    @contextlib.contextmanager
    def commit_layer(self, commit_id, diff_id):
        """A file to read one layer of a commit from: a tar, whose hashes are known at its end."""
        with self._request('GET', '/v1/commits/%s/layers/%s' % (commit_id, diff_id), timeout=LOAD) as response:
            yield HashedDownload(response)

    @contextlib.contextmanager
    def commit_archive(self, commit_id, layers=None):
        """A file to read a commit from: all of it, or what is left of it where layers says how each is stored."""
        method, body = ('GET', None) if layers is None else ('POST', {'layers': layers})
        with self._request(method, '/v1/commits/%s/archive' % commit_id, body, timeout=LOAD) as response:
            yield Download(response)

    def events(self, silence):
        """Yield what happens to containers, for as long as the agent is there.

        The agent says at least that it is alive; silence is how long, in seconds, it may say nothing.
        """
        with self._request('GET', '/v1/events', timeout=silence) as response, self._talking():
            for line in response:
                yield json.loads(line)

    def _json(self, method, url, body=None, uuid=None, timeout=QUICK):
        with self._request(method, url, body, uuid, timeout) as response, self._talking():
            content = response.read()
        return json.loads(content) if content else None

    @contextlib.contextmanager
    def _request(self, method, url, body=None, uuid=None, timeout=QUICK):
        with self._connected(timeout) as connection:
            content = None if body is None else json.dumps(body)
            with self._talking():
                connection.request(method, url, content, {'Content-Type': 'application/json'})
                response = self._checked(connection.getresponse(), uuid)
            yield response

    @contextlib.contextmanager
    def _connected(self, timeout):
        connection = Connection(self._path, timeout)
        try:
            with self._talking():
                self._connect(connection)
            yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def _talking(self):
        # Only round what is said to the agent: a caller's own OSError, such as Glance's, is not the agent's.
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise AgentUnavailable(path=self._path, reason=str(error) or type(error).__name__) from error

    def _connect(self, connection):
        # Nothing is sent yet, so that it is safe to try again: an upgrade restarts the agent within a moment.
        give_up = time.monotonic() + self._away
        while True:
            try:
                return connection.connect()
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.2)

    @staticmethod
    def _checked(response, uuid):
        if response.status < 300:
            return response
        try:
            fault = json.loads(response.read())
            code, reason = fault['code'], fault['message']
        except (ValueError, KeyError, TypeError):
            fault, code, reason = {}, '', '%d %s' % (response.status, response.reason)
        if code == 'no_such_instance':
            raise exception.InstanceNotFound(instance_id=uuid)
        error = FAULTS.get(code, AgentError)(reason=reason)
        error.layers = fault.get('layers', ())
        raise error


class Upload:
    """The file that Nova's image API writes an image to: each write goes straight on to the agent."""

    def __init__(self, connection, url, kind='application/x-tar'):
        self._connection = connection
        self._refused = None
        connection.putrequest('PUT', url)
        connection.putheader('Content-Type', kind)
        connection.putheader('Transfer-Encoding', 'chunked')
        connection.endheaders()

    def write(self, chunk):
        if not chunk or self._refused:
            return
        try:
            self._connection.send(b'%x\r\n' % len(chunk) + chunk + b'\r\n')
        except (BrokenPipeError, ConnectionResetError) as error:
            # The agent has seen enough of it; what is wrong stands in its response, which finish() reads.
            self._refused = error

    def truncate(self, size):
        """What Nova calls when the image's signature is wrong: without its end, the agent drops the image."""
        self._connection.close()

    def finish(self):
        try:
            if not self._refused:
                self._connection.send(b'0\r\n\r\n')
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self._connection.getresponse()


class Parts(Upload):
    """An upload of an archive and, each after its beginning, of layers that it leaves out (RFC 7578)."""

    def __init__(self, connection, url, layers):
        self._boundary = uuids.uuid4().hex
        super().__init__(connection, url, 'multipart/form-data; boundary=' + self._boundary)
        self.begin('layers')
        self.write(json.dumps({'layers': layers}).encode())
        self.begin('archive')

    def begin(self, name):
        self.write(('\r\n--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n' % (self._boundary, name)).encode())

    def finish(self):
        self.write(('\r\n--%s--\r\n' % self._boundary).encode())
        return super().finish()


class Download:
    """The file that Nova's image API reads a snapshot from, once.

    When an upload fails, Nova tries again with the same file. What is left of it, or nothing, would then look like
    the whole image: so nothing is read beyond the end or an error, and count says how many bytes there were.
    """

    def __init__(self, response):
        self._response = response
        self._over = False
        self.count = 0
        self.digest = response.getheader('Ndock-Image-Digest')  # of the manifest, before an archive that leaves layers out

    def read(self, size=CHUNK):
        if self._over:
            raise AgentError(reason='the snapshot has been sent already, and cannot be sent again')
        try:
            chunk = self._response.read(size if size and size > 0 else CHUNK)
        except (OSError, http.client.HTTPException) as error:
            self._over = True
            raise AgentError(reason='the snapshot broke off: %s' % (str(error) or type(error).__name__)) from error
        self._over = not chunk
        self.count += len(chunk)
        return chunk

    def __iter__(self):
        return iter(self.read, b'')


class HashedDownload(Download):
    """A download whose SHA-512 is that of all that was read."""

    def __init__(self, response):
        super().__init__(response)
        self.sha512 = hashlib.sha512()

    def read(self, size=CHUNK):
        chunk = super().read(size)
        self.sha512.update(chunk)
        return chunk
