package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ndock/registry"
	"ndock/registry/internal/rollback"
)

// serviceTarget is a registry as a service of this host.
type serviceTarget struct {
	systemd Systemd
	engine  Engine // which may have the registry already
	report  registry.Reporter
}

var _ target = serviceTarget{}

// hiddenDirs are the directories that the service does not see.
var hiddenDirs = []string{"/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"}

// checkProgram refuses a program that the service's user cannot run.
func (s Systemd) checkProgram(_ io.ReaderAt, name string) error {
	op := fmt.Sprintf("run %q as a service", name)
	hint := "install ndock into /usr/local/bin, and run that one"
	for _, dir := range hiddenDirs {
		if strings.HasPrefix(name, dir) && s.Root == "" {
			return &registry.Error{Op: op, Err: fmt.Errorf("services do not see %s", strings.TrimSuffix(dir, "/")), Help: hint}
		}
	}
	for at := name; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		if info.Mode()&0o001 == 0 && s.Root == "" {
			return &registry.Error{Op: op, Err: fmt.Errorf("%q is closed to other users", at), Help: hint}
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// inspect implements target. It refuses a machine that has no systemd.
func (s serviceTarget) inspect(ctx context.Context) (state, *interrupted, error) {
	if !s.systemd.exists(systemdRuntimeDir) {
		return state{}, nil, &registry.Error{
			Op: "deploy the registry as a service", Err: errors.New("systemd does not run on this host"),
			Help: "leave --systemd out for a container; or have 'ndock registry serve' run by what starts services here",
		}
	}
	switch found, err := inspectContainer(ctx, s.engine); {
	case noEngine(err): // and none is needed
	case err != nil:
		return state{}, nil, err
	case found != nil:
		return state{}, nil, otherKind("as a service", "a container of Docker's", cmp.Or(found.Config.Labels[labelData], "volume "+dataVolume))
	}
	current, err := s.state(ctx)
	if err != nil {
		return state{}, nil, err
	}
	current.files, err = s.systemd.readFiles()
	if err != nil {
		return state{}, nil, err
	}
	kept, broken := current.files.recordedFiles()
	if !broken {
		return current, nil, nil
	}
	before := serviceState{active: "active", enabled: true}.of(kept[unitName]) // as far as is known
	delete(kept, unitName)
	before.files = kept
	return current, &interrupted{before: before, files: current.files.withoutRecord()}, nil
}

// state returns the service, without its files.
func (s serviceTarget) state(ctx context.Context) (state, error) {
	unit, err := s.systemd.unit()
	if err != nil || unit == nil {
		return state{}, err
	}
	now, err := s.systemd.show(ctx)
	return now.of(unit), err
}

// of returns the registry that has this unit; with none, only what systemd says of it.
func (s serviceState) of(unit []byte) state {
	found := state{running: s.runs(), enabled: s.enabled}
	if unit == nil {
		return found
	}
	said, _ := parseUnit(unit)
	found.id, found.made, found.listen, found.tls = unitName, string(unit), said.Listen, said.TLS
	return found
}

// prepare implements target.
func (serviceTarget) prepare(_ context.Context, current state) (image string, kept files, err error) {
	return "", current.files.settled(), nil
}

// made implements target.
func (serviceTarget) made(wanted plan) (string, error) {
	text, err := wanted.unitFile().text()
	return string(text), err
}

// apply implements target. The service that is there ends, and the new unit takes the place of its.
func (s serviceTarget) apply(ctx context.Context, current state, wanted plan) (done progress, err error) {
	err = inOrder(ctx,
		wanted.whole(func(ctx context.Context) error { return s.create(ctx, current, wanted) }),
		wanted.whole(func(context.Context) error { return s.systemd.writeFiles(wanted.files) }),
		wanted.whole(func(ctx context.Context) (err error) { done, err = s.start(ctx); return err }),
	)
	return done, err
}

func (s serviceTarget) create(ctx context.Context, current state, wanted plan) error {
	if err := s.ensureUser(ctx); err != nil {
		return err
	}
	if err := s.record(current); err != nil {
		return err
	}
	if current.exists() {
		s.report.Step("replacing service %s", serviceName)
		if err := s.systemd.control(ctx, "stop"); err != nil {
			return err
		}
	}
	if err := s.systemd.writeUnit([]byte(wanted.made)); err != nil {
		return err
	}
	return s.systemd.reload(ctx)
}

// ensureUser makes the service's user and group, unless they are there.
func (s serviceTarget) ensureUser(ctx context.Context) error {
	_, err := s.systemd.run(ctx, "systemd-sysusers", "--inline", fmt.Sprintf(`u %s - "ndock registry" /%s`, serviceName, statePath))
	return denied("make user "+serviceName, err)
}

// record keeps the files and the unit that are there beside them, until commit.
func (s serviceTarget) record(current state) error {
	if current.nothing() {
		return nil
	}
	all := maps.Clone(current.files)
	if current.exists() {
		all[unitName] = []byte(current.made)
	}
	record, err := all.recorded()
	if err != nil {
		return err
	}
	return s.systemd.writeFiles(record)
}

// nothing tells whether there is neither a service nor its configuration.
func (s state) nothing() bool { return !s.exists() && len(s.files) == 0 }

func (s serviceTarget) start(ctx context.Context) (progress, error) {
	done := progress{started: time.Now()}
	if err := s.systemd.control(ctx, "enable"); err != nil {
		return done, err
	}
	s.systemd.control(ctx, "reset-failed") // which is an error where nothing had failed
	err := s.systemd.control(ctx, "start")
	if err == nil {
		return done, nil
	}
	return done, fmt.Errorf("%w%s", err, s.logTail(ctx, done))
}

// alive implements target. Systemd starts a service again and again, so that it may run by now.
func (s serviceTarget) alive(ctx context.Context, done progress) error {
	now, err := s.systemd.show(ctx)
	switch {
	case err != nil:
		return err
	case now.restarts == "0" && (now.runs() || now.active == "activating" && now.sub == "start"):
		return nil
	}
	return &registry.Error{
		Op:   "start the registry",
		Err:  fmt.Errorf("it ended with status %s%s", now.status, s.logTail(ctx, done)),
		Help: "'journalctl -u " + serviceName + "' says more",
	}
}

// logTail implements target.
func (s serviceTarget) logTail(ctx context.Context, done progress) string {
	return lastLine(s.systemd.logTail(ctx, done.started))
}

// commit implements target.
func (s serviceTarget) commit(context.Context, progress) error {
	return s.systemd.writeFiles(files{fileRecord: nil})
}

// cleanUp implements target.
func (serviceTarget) cleanUp(context.Context, progress) error { return nil }

// restore implements target. The new service ends first, because the files and the unit of the old one are for that one.
func (s serviceTarget) restore(current state, written files, done progress) []rollback.Step {
	unitByHand, filesByHand := "rm /"+unitPath, "rm -r /"+configPath
	if current.exists() {
		s.report.Step("putting back the service that was there")
		again := "see to why /" + configPath + " and /" + unitPath + " cannot be written; the next 'ndock registry deploy --systemd' restores them"
		unitByHand, filesByHand = again, again
	}
	steps := []rollback.Step{
		{Title: "stop", Do: s.stop, ByHand: "systemctl stop " + serviceName},
		{Title: "start with the machine", Do: func(ctx context.Context) error { return s.disable(ctx, current) }, ByHand: "systemctl disable " + serviceName},
		{Title: "unit", Do: func(context.Context) error { return s.systemd.writeUnit([]byte(current.made)) }, ByHand: unitByHand},
		{Title: "systemd", Do: s.systemd.reload, ByHand: "systemctl daemon-reload"},
		{Title: "configuration", Do: func(context.Context) error { return s.restoreFiles(current, written) }, ByHand: filesByHand},
	}
	if current.exists() {
		steps = append(steps, rollback.Step{Title: "start", Do: func(ctx context.Context) error { return s.restart(ctx, current) }, ByHand: "systemctl start " + serviceName})
	}
	return append(steps, rollback.Step{Title: "remove " + fileRecord, ByHand: removedLater, Do: func(ctx context.Context) error {
		if current.nothing() {
			return nil
		}
		return s.commit(ctx, done)
	}})
}

func (s serviceTarget) stop(ctx context.Context) error {
	if !s.systemd.exists(unitPath) {
		return nil
	}
	err := s.systemd.control(ctx, "stop")
	s.systemd.control(ctx, "reset-failed") // which is an error where nothing had failed
	return err
}

func (s serviceTarget) disable(ctx context.Context, current state) error {
	if current.enabled || !s.systemd.exists(unitPath) {
		return nil
	}
	return s.systemd.control(ctx, "disable")
}

// restoreFiles leaves no secrets behind where there was no registry before.
func (s serviceTarget) restoreFiles(current state, written files) error {
	if current.nothing() {
		return denied("remove the registry's configuration", os.RemoveAll(s.systemd.path(configPath)))
	}
	return s.systemd.writeFiles(current.files.revertTo(written))
}

func (s serviceTarget) restart(ctx context.Context, current state) error {
	if !current.running {
		return nil
	}
	return s.systemd.control(ctx, "start")
}
