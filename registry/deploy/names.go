package deploy

// What the registry is called on the engine.
const (
	containerName = "ndock-registry"
	imageName     = "ndock-registry"
	dataVolume    = "ndock-registry"
	configVolume  = "ndock-registry-config"
)

// configDir is where the container finds its configuration.
const configDir = "/etc/ndock-registry"

// The labels on what ndock makes.
const (
	labelRegistry = "ndock.registry"        // on each container
	labelListen   = "ndock.registry.listen" // where it listens
	labelURL      = "ndock.registry.url"    // where clients find it
	labelTLS      = "ndock.registry.tls"    // whose certificate it shows
	labelSpec     = "ndock.registry.spec"   // digest of all that the container was made with
	labelBinary   = "ndock.registry.binary" // digest of the ndock inside the image
)

// How a registry shows who it is.
const (
	tlsNone       = "none"
	tlsSelfSigned = "self-signed"
	tlsGiven      = "given"
)
