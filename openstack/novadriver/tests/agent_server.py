"""An agent for the client to speak to: a real HTTP server on a real unix socket, whose answers a test scripts."""

import http.server
import json
import os
import shutil
import socketserver
import tempfile
import threading


class Request(http.server.BaseHTTPRequestHandler):
    """One request; the test's function gets it and answers through it."""

    protocol_version = 'HTTP/1.1'
    wbufsize = -1  # an answer goes out whole, so that a caller may hang up when it has seen the status

    def _handle(self):
        self.close_connection = True
        self.server.seen.append((self.command, self.path))
        self.server.headers.append(self.headers)
        self.server.answer(self)

    do_GET = do_PUT = do_POST = do_DELETE = _handle

    def address_string(self):
        return 'nova'  # a unix socket has no addresses

    def log_message(self, *args):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get('Content-Length', 0)))

    def chunk(self):
        """One chunk of a chunked body; b'' is its proper end, None the end of the connection before that."""
        size = self.rfile.readline()
        if not size:
            return None
        content = self.rfile.read(int(size, 16))
        self.rfile.readline()
        return content

    def reply(self, status, value):
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def begin_stream(self, **headers):
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name.replace('_', '-'), value)
        self.send_header('Transfer-Encoding', 'chunked')
        self.end_headers()

    def stream(self, content):
        self.wfile.write(b'%x\r\n%s\r\n' % (len(content), content))
        self.wfile.flush()


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path, answer):
        self.answer = answer
        self.seen = []
        self.headers = []
        super().__init__(path, Request)


class Agent:
    """Where an agent listens, once it is started."""

    def __init__(self, test):
        directory = tempfile.mkdtemp()
        test.addCleanup(shutil.rmtree, directory)
        self._test = test
        self.path = os.path.join(directory, 'agent.sock')
        self.server = None

    def start(self, answer):
        self.server = Server(self.path, answer)
        threading.Thread(target=self.server.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True).start()
        self._test.addCleanup(self.server.server_close)
        self._test.addCleanup(self.server.shutdown)
        return self
