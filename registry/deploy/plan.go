package deploy

import (
	"maps"
	"net"
	"slices"
	"time"

	"github.com/distribution/distribution/v3/configuration"

	"ndock/registry/auth/htpasswd"
	"ndock/registry/config"
	"ndock/registry/pki"
)

// inputs are the options, and all that they name. What can be wrong with them is found out before the engine, or systemd, is
// asked for anything.
type inputs struct {
	Options
	at            config.Address
	given         pki.Pair                     // the certificate of the options, if any
	keystoneCA    []byte                       // nil for none
	configuration *configuration.Configuration // of the operator's file, and REGISTRY_… in the environment
	program       *executable
}

func readInputs(host Host, o Options) (in inputs, err error) {
	if err := o.Check(); err != nil {
		return in, err
	}
	in.Options = o.withDefaults()
	if err := in.readConfiguration(); err != nil {
		return in, err
	}
	if in.at, err = config.ParseClientAddress(in.Listen); err != nil {
		return in, err
	}
	if o.CertFile != "" {
		if in.given, err = pki.ReadPair(o.CertFile, o.KeyFile, time.Now()); err != nil {
			return in, err
		}
	}
	in.program, err = openExecutable(o.Binary, host.checkProgram(o.Service))
	return in, err
}

// stopTimeout returns how many seconds the registry's end may take.
func (in inputs) stopTimeout() int {
	return int((max(config.DefaultDrain, in.configuration.HTTP.DrainTimeout) + 5*time.Second).Seconds())
}

// plan is the registry that shall be there.
type plan struct {
	at          config.Address
	listen      string // HOST:PORT
	metrics     string // HOST:PORT of metrics and health; empty for none
	url         string // where clients are to look for it
	tls         string // the mode
	data        string // where the images are
	stopTimeout int    // seconds that its end may take
	image       string // of the container
	program     *executable
	command     []string // arguments of ndock registry serve
	files       files    // its configuration
	made        string   // what it is made with, as in state
}

// newPlan returns how the registry shall be configured, and what it shall be made with. What the options do not say
// stays as it is in the kept files.
func newPlan(in inputs, t target, kept files, image string, now time.Time) (plan, error) {
	all, err := in.logins(kept)
	if err != nil {
		return plan{}, err
	}
	certificates, err := in.certificates(kept, now)
	if err != nil {
		return plan{}, err
	}
	maps.Copy(all, certificates)
	if err := in.configure(all, kept); err != nil {
		return plan{}, err
	}
	if all.auth() == "" && !in.at.Loopback() {
		in.Report.Step("note: whoever reaches %s can push and pull; --user and --password-stdin demand a login", in.at)
	}
	if before, after := in.dataOf(kept), in.dataOf(all); kept[fileConfig] != nil && before != after {
		in.Report.Step("note: what was pushed so far stays in %s, and the registry has its images in %s from now on", before, after)
	}
	p := plan{
		at: in.at, listen: in.Listen, metrics: in.configuration.HTTP.Debug.Addr, url: in.url(), tls: in.mode(), stopTimeout: in.stopTimeout(),
		data: in.dataOf(all), image: image, program: in.program, command: in.command(), files: all,
	}
	p.made, err = t.made(p)
	return p, err
}

// privileged returns whether it takes a capability to listen on one of the addresses.
func (p plan) privileged() bool {
	return slices.ContainsFunc([]string{p.listen, p.metrics}, func(listen string) bool {
		at, err := config.ParseAddress(listen)
		return err == nil && at.Privileged()
	})
}

// describes returns whether the current registry was made so, and runs.
func (p plan) describes(current state) bool {
	return current.running && current.enabled && current.made == p.made && current.files.contains(p.files)
}

// logins returns the file of logins. Without --user it stays: a registry must not become open to all by an upgrade.
func (in inputs) logins(kept files) (files, error) {
	before, there := kept[fileHtpasswd]
	switch {
	case in.User == "" && there:
		return files{fileHtpasswd: before}, nil
	case in.User == "":
		return files{}, nil
	}
	text, err := htpasswd.WithLogin(before, in.User, in.Password)
	return files{fileHtpasswd: text}, err
}

// certificates returns those of the options; or else keeps the registry's own as long as they last, and the CA, which
// other hosts have copied, as long as it lasts.
func (in inputs) certificates(kept files, now time.Time) (files, error) {
	all := files{}
	switch in.mode() {
	case tlsNone:
		return all, nil
	case tlsGiven:
		all.put(fileCert, fileKey, in.given)
		return all, nil
	}
	ca, server := kept.pair(fileCA, fileCAKey), kept.series()
	if !in.keeps(server, ca, now) {
		var err error
		if ca, server, err = ca.Renew(config.Unique(append(in.at.Names(), in.Names...)), now); err != nil {
			return nil, err
		}
	}
	all.put(fileCert, fileKey, server[0])
	all[fileNext] = server[1:].Encode()
	all.put(fileCA, fileCAKey, ca)
	return all, nil
}

// keeps returns whether the registry goes on with its certificates: until the CA ends, and while they have the names
// that were asked for. An address that the host has got or lost since is no reason to make others.
func (in inputs) keeps(server pki.Series, ca pki.Pair, now time.Time) bool {
	if last := server.End(); len(server) == 0 || last.Before(ca.End()) || last.Before(now.Add(pki.AuthorityRenewal)) {
		return false
	}
	names := config.Unique(append(in.at.RequiredNames(), in.Names...))
	return server.At(now).Covers(names, ca, now)
}

// url returns where clients find the registry: by a name that its certificate has.
func (in inputs) url() string {
	scheme, host := "https", in.at.Name()
	switch in.mode() {
	case tlsNone:
		scheme = "http"
	case tlsGiven:
		host = in.given.NameOr(host)
	}
	return scheme + "://" + net.JoinHostPort(host, in.at.Port)
}

// registries returns HOST:PORT under all names by which Docker on this host may call the registry.
func (p plan) registries() []string {
	if p.tls != tlsSelfSigned {
		return nil
	}
	return p.files.registries(p.at.Port)
}

func (f files) registries(port string) []string {
	var all []string
	for _, name := range f.pair(fileCert, fileKey).Names() {
		all = append(all, net.JoinHostPort(name, port))
	}
	return all
}
