package registry

import (
	"context"
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
	Image   string
	Data    string    // volume, or bucket
	TLS     string    // self-signed, given, or none
	Expires time.Time // of the certificate
	CA      string    // fingerprint, by which other hosts know it; empty unless self-signed
	Users   []string  // who may log in; none of its own when Keystone is asked, or anybody let in
	Since   time.Time // when it came into its state
}

// Find looks at the registry.
func Find(ctx context.Context, engine Engine) (Status, error) {
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
	return s, nil
}

func (s *Status) describe(found *container.InspectResponse) {
	labels := found.Config.Labels
	s.URL, s.TLS, s.Image = labels[labelURL], labels[labelTLS], found.Config.Image
	s.State = found.State.Status
	since := found.State.FinishedAt
	if found.State.Running {
		since = found.State.StartedAt
	}
	s.Since, _ = time.Parse(time.RFC3339Nano, since) // zero for a container that never ran
}
