# ndock: the Docker driver of Nova; installed and removed by `ndock node setup` and `ndock node teardown`.
"""Nova's side of a Docker hypervisor: compute_driver = docker.DockerDriver

Translates Nova's objects into JSON and hands them to ndock's agent on this host, which does the work.
Standard library and Nova only; the same files serve every release from 26 (Zed).
"""

from nova.virt.docker.driver import DockerDriver

__all__ = ['DockerDriver']
