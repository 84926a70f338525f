// Package registry is about private image registries: how ndock serves one, deploys one on a host, and works with others.
// The package itself has only what its parts share, errors and reports. The parts:
//
//	config   what a registry can be told: a configuration file and options
//	serve    the HTTP server around distribution's registry
//	storage  what stands between distribution and the storage: fsync, quotas, no space left
//	gc       garbage collection of the storage
//	glance   images in Glance, in the users' projects, in the place of a storage
//	refusal  answers with a reason
//	auth     logins, by a file (htpasswd) or by Keystone
//	control  how a running registry is asked to collect its garbage
//	deploy   a registry as a container or a service of this host
//	pki      the CA and the certificates of a deployed registry
//	trust    the registries that Docker on this host trusts
//	client   list, show and delete images in any registry
package registry

// A Reporter is told what a long operation does.
type Reporter interface {
	// Step is told in a sentence what is done now.
	Step(format string, args ...any)
}
