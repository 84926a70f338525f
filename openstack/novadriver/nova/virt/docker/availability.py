"""Tells Nova whether this host can be used: it can while ndock's agent and Docker answer."""

import logging
import threading
import time

from nova import context as nova_context
from nova import exception
from nova import objects
from nova.virt import event as virt_event
import nova.conf

from nova.virt.docker import agent as ndock

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

# Marks what was switched off from here, so that a host that the operator took out stays out.
AUTO = 'AUTO: ndock: '
DRIVERS = 'AUTO: '  # libvirt's mark, too, which it left when it lost its daemon before this driver took over
SILENCE = 20  # seconds without a sign of life after which the agent counts as away
PATIENCE = 5  # seconds that a restart of the agent may take unnoticed
RETRY = 20  # seconds after which what the agent could not do is tried again
AGAIN = (5, 15, 35, 75, 155, 315)  # seconds after which Nova is told again that a server has ended

TRANSITIONS = {
    'started': virt_event.EVENT_LIFECYCLE_STARTED,
    'stopped': virt_event.EVENT_LIFECYCLE_STOPPED,
    'paused': virt_event.EVENT_LIFECYCLE_PAUSED,
    'resumed': virt_event.EVENT_LIFECYCLE_RESUMED,
}


class Watch:
    """Follows the agent's events in a thread of its own (a green one where Nova runs on eventlet)."""

    def __init__(self, agent, emit, retry):
        self._agent = agent
        self._emit = emit    # takes Nova's lifecycle events
        self._retry = retry  # called when the agent is back, and every RETRY seconds while it is there
        self._started = False
        self._reporting = threading.Lock()
        self._over = False  # nova-compute ends
        self._ended = {}  # when Nova is told again, by server

    def start(self):
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, name='ndock-events', daemon=True).start()

    def end(self):
        """Let go of the host when nova-compute ends. It may take minutes to, and says nothing of the agent from here on."""
        with self._reporting:
            self._over = True
            let_go()

    def _run(self):
        lost = None  # since when the agent is away
        tried = time.monotonic()
        while True:
            try:
                for happened in self._agent.events(SILENCE):
                    if happened['event'] == 'hello':
                        lost = None
                        self._report(None)
                    if happened['event'] == 'hello' or time.monotonic() - tried >= RETRY:
                        tried = time.monotonic()
                        self._retry()
                    self._tell(happened)
                    self._tell_again()
                reason = 'the agent ended'
            except ndock.AgentError as error:
                reason = error.format_message()
            except Exception as error:
                LOG.exception('Following the events of the agent failed')
                reason = str(error) or type(error).__name__
            lost = lost or time.monotonic()
            if time.monotonic() - lost >= PATIENCE:
                self._report(reason)
            time.sleep(1)

    def _tell(self, happened):
        transition = TRANSITIONS.get(happened['event'])
        if transition is None:
            return
        self._emit(virt_event.LifecycleEvent(happened['uuid'], transition))
        self._ended.pop(happened['uuid'], None)
        if happened['event'] == 'stopped':
            self._ended[happened['uuid']] = [time.monotonic() + seconds for seconds in AGAIN]

    def _tell_again(self):
        """Nova passes over an event while it has a task with the server, as when a process ends while it is being started,
        and looks at what an event says: one that is not so any more does no harm."""
        now = time.monotonic()
        due = [uuid for uuid, times in self._ended.items() if times[0] <= now]
        here = self._agent.servers() if due else []
        for uuid in due:
            if uuid in here:
                self._emit(virt_event.LifecycleEvent(uuid, virt_event.EVENT_LIFECYCLE_STOPPED))
            left = [at for at in self._ended.pop(uuid) if at > now]
            if left and uuid in here:
                self._ended[uuid] = left

    def _report(self, away):
        try:
            with self._reporting:
                if not self._over:
                    set_available(away)
        except Exception:  # the database or the broker is away too: said again with the next try
            LOG.exception('Nova could not be told whether this host is available')


def set_available(away):
    """Let Nova show the hypervisor down, with the reason; or up again when away is None."""
    service = find_service()
    if service is None:
        return
    marked, own = _marked(service, AUTO if away else DRIVERS), _marked(service, AUTO)
    if marked == bool(away):
        return
    if (service.disabled or service.forced_down) and not marked:
        return  # the operator's own doing: to fence a host is forced_down alone
    service.disabled = bool(away)
    if away or own:
        service.forced_down = bool(away)
    service.disabled_reason = AUTO + away[:200] if away else None
    service.save()
    LOG.warning('This host is down for Nova: %s' % away if away else 'This host is up for Nova again')


def let_go():
    """Leave a host that is down disabled alone while nova-compute does not run: Nova sees that it does not, and the next may
    have another driver, which forces nothing up. libvirt's enables what is disabled by such a mark."""
    try:
        service = find_service()
        if service is not None and service.forced_down and _marked(service, AUTO):
            service.forced_down = False
            service.save()
    except Exception:  # it ends all the same
        LOG.exception('Nova could not be told that this host is not forced down any more')


def find_service():
    try:
        return objects.Service.get_by_compute_host(nova_context.get_admin_context(), CONF.host)
    except exception.ComputeHostNotFound:
        return None  # the very first start: it is registered after init_host


def _marked(service, mark):
    return service.disabled and (service.disabled_reason or '').startswith(mark)
