package registry

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"ndock/registry/htpasswd"
)

// The states that scripts ask for; others are as Docker calls them.
const (
	Running = "running"
	Absent  = "absent"
)

// Status is how the registry is.
type Status struct {
	URL     string
	State   string
	Kind    string // container or service; empty when there is none
	Image   string
	Data    string    // volume, directory, or bucket
	TLS     string    // self-signed, given, or none
	Expires time.Time // of the certificate
	CA      string    // fingerprint, by which other hosts know it; empty unless self-signed
	Users   []string  // who may log in; none of its own when Keystone is asked, or anybody let in
	Since   time.Time // when it came into its state
}

// Find looks at the registry.
func Find(ctx context.Context, host Host) (Status, error) {
	unit, err := host.Systemd.unit()
	switch {
	case err != nil:
		return Status{}, err
	case unit != nil:
		return findService(ctx, host.Systemd, unit)
	}
	s, err := findContainer(ctx, host.Engine)
	if kept := host.Systemd.there(statePath); kept && (s.Kind == "" && s.Data == "" && err == nil || noEngine(err)) {
		return Status{State: Absent, Data: onHost.data}, nil
	}
	return s, err
}

func findService(ctx context.Context, systemd Systemd, unit []byte) (Status, error) {
	now, err := systemd.show(ctx)
	if err != nil {
		return Status{}, err
	}
	config, err := systemd.readFiles()
	if err != nil && !errors.Is(err, fs.ErrPermission) { // who is not root may know where it is all the same
		return Status{}, err
	}
	said, _ := parseUnit(unit)
	s := Status{Kind: KindService, State: now.name(), Since: now.since, URL: said.URL, TLS: said.TLS, Data: onHost.data}
	s.configured(config)
	return s, nil
}

func findContainer(ctx context.Context, engine Engine) (Status, error) {
	s := Status{State: Absent}
	switch _, err := engine.VolumeInspect(ctx, dataVolume); {
	case err == nil:
		s.Data = dataVolume
	case !errdefs.IsNotFound(err):
		return Status{}, explain("look for the registry", err)
	}
	found, err := inspect(ctx, engine)
	if err != nil || found == nil {
		return s, err
	}
	config, err := readConfig(ctx, engine, found.ID)
	if err != nil {
		return Status{}, err
	}
	s.describe(found)
	s.configured(config)
	return s, nil
}

// configured adds what the files tell.
func (s *Status) configured(config files) {
	if bucket := config.bucket(); bucket != "" {
		s.Data = "bucket " + bucket
	}
	if config.auth() == "htpasswd" {
		s.Users = htpasswd.Users(config[fileHtpasswd])
	}
	if leaf, _, err := config.pair(fileCert, fileKey).parse(); err == nil && s.TLS != tlsNone {
		s.Expires = leaf.NotAfter
	}
	if s.TLS == tlsSelfSigned {
		s.CA = firstFingerprint(config[fileCA])
	}
}

func (s *Status) describe(found *container.InspectResponse) {
	labels := found.Config.Labels
	s.Kind = KindContainer
	s.URL, s.TLS, s.Image = labels[labelURL], labels[labelTLS], found.Config.Image
	s.State = found.State.Status
	since := found.State.FinishedAt
	if found.State.Running {
		since = found.State.StartedAt
	}
	s.Since, _ = time.Parse(time.RFC3339Nano, since) // zero for a container that never ran
}
