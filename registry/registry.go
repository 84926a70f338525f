// Package registry is the private image registry of an ndock site: distribution's registry, served by this very
// binary (Serve), and the means to run it as a container on Docker Engine without pulling an image, or as a service of
// systemd (Deploy), to see how it is (Find) and to take it away again (Remove).
//
//	ndock registry deploy ─► image of /ndock ─► container "ndock-registry": ndock registry serve
//	                                              ├─ volume "ndock-registry"         what was pushed
//	                                              └─ volume "ndock-registry-config"  configuration, certificates and logins
//
// An operator may name an image of distribution's own program instead (stock.go), which then runs on the same volumes.
//
// All that is to be remembered stands on the container, as labels, and in the config volume; or in the service's unit
// and in /etc/ndock-registry. There is one such registry on a host, of one kind or the other. What differs between the
// two is in inContainer and asService.
package registry

// A Reporter hears what a long operation does.
type Reporter interface {
	Step(format string, args ...any)
}
