package deploy

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"ndock/registry/auth/htpasswd"
	"ndock/registry/pki"
)

// The states that scripts ask for; others are as Docker calls them.
const (
	Running = "running"
	Absent  = "absent"
)

// Status is the state of this host's registry.
type Status struct {
	URL     string
	State   string
	Kind    string // container or service; empty when there is none
	Image   string
	Data    string    // volume, directory, bucket, or Glance
	TLS     string    // self-signed, given, or none
	Expires time.Time // of the certificate that is shown
	Renewed time.Time // until when the registry renews it by itself; zero where it does not
	CA      string    // fingerprint, by which other hosts know it; empty unless self-signed
	Users   []string  // who may log in; none of its own when Keystone is asked, or anybody let in
	Since   time.Time // when it came into its state

	Unfinished bool // a deployment was broken off; the next one puts back what was there, first
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
	if kept := host.Systemd.exists(statePath); kept && (s.Kind == "" && s.Data == "" && err == nil || noEngine(err)) {
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
	s := Status{Kind: KindService, State: now.name(), Since: now.since, URL: said.URL, TLS: said.TLS, Data: unitData(unit)}
	s.configured(config, time.Now())
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
	found, err := inspectContainer(ctx, engine)
	if err == nil && found == nil { // a deployment that was killed may have renamed it
		found, err = inspectNamed(ctx, engine, backupName)
	}
	if err != nil || found == nil {
		return s, err
	}
	config, err := readConfig(ctx, engine, found.ID)
	if err != nil {
		return Status{}, err
	}
	s.describe(found)
	s.configured(config, time.Now())
	return s, nil
}

// configured adds what the files tell.
func (s *Status) configured(config files, now time.Time) {
	_, s.Unfinished = config.recordedFiles()
	s.Data = cmp.Or(config.elsewhere(), s.Data)
	if config.auth() == "htpasswd" {
		s.Users = htpasswd.Users(config[fileHtpasswd])
	}
	if s.TLS == tlsNone {
		return
	}
	own := config.series()
	if s.TLS == tlsGiven {
		own = own[:min(1, len(own))]
	}
	s.Expires = own.At(now).End()
	if len(own) == 1 {
		s.Expires = own.End()
	}
	if len(own) > 1 {
		s.Renewed = own.End()
	}
	if s.TLS == tlsSelfSigned {
		s.CA = pki.FirstFingerprint(config[fileCA])
	}
}

// Warnings returns what will soon keep clients away, each with what to do.
func (s Status) Warnings(now time.Time) []string {
	var all []string
	if s.Unfinished {
		all = append(all, "the last deployment was broken off; deploy again, which puts back what was there before, first")
	}
	last, left := s.Expires, pki.Renewal
	if !s.Renewed.IsZero() {
		last, left = s.Renewed, pki.AuthorityRenewal
	}
	if s.Expires.IsZero() || last.After(now.Add(left)) {
		return all
	}
	ends := "ends on " + last.Format(time.DateOnly)
	if now.After(last) {
		ends = "ended on " + last.Format(time.DateOnly)
	}
	switch {
	case s.TLS == tlsGiven:
		return append(all, "the certificate "+ends+"; deploy again with --tls-cert and --tls-key of a new one")
	case s.Renewed.IsZero():
		return append(all, "the certificate "+ends+"; deploy again with the same options, which renews it")
	}
	return append(all, "the CA "+ends+"; deploy again with the same options, which makes another one, and have other hosts trust that: 'ndock registry trust'")
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
