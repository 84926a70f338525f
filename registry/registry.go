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

// What the registry is called on the engine.
const (
	containerName = "ndock-registry"
	imageName     = "ndock-registry"
	dataVolume    = "ndock-registry"
	configVolume  = "ndock-registry-config"
)

// Where the container finds things.
const (
	dataDir   = "/var/lib/registry"
	configDir = "/etc/ndock-registry"
)

// The labels on what ndock makes.
const (
	labelRegistry = "ndock.registry"        // on each container
	labelListen   = "ndock.registry.listen" // where it listens
	labelURL      = "ndock.registry.url"    // where clients find it
	labelTLS      = "ndock.registry.tls"    // whose certificate it shows
	labelSpec     = "ndock.registry.spec"   // digest of all that the container was made with
	labelBinary   = "ndock.registry.binary" // digest of the ndock inside the image
	labelImage    = "ndock.registry.image"  // id of a stock registry's image
)

// How a registry shows who it is.
const (
	tlsNone       = "none"
	tlsSelfSigned = "self-signed"
	tlsGiven      = "given"
)

// A Reporter hears what a long operation does.
type Reporter interface {
	Step(format string, args ...any)
}
