package deploy

import (
	"bytes"
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
)

// asService is a registry as a service of this host.
type asService struct {
	*deployment
	host    Host
	systemd Systemd

	old     []byte       // the unit that is there, if any
	was     serviceState // before
	unit    []byte       // that shall be there
	started time.Time
}

var _ place = (*asService)(nil)

// hidden are the directories that the service does not see.
var hidden = []string{"/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"}

// runs refuses a program that the service's user cannot run.
func (d *asService) runs(_ io.ReaderAt, name string) error {
	op := fmt.Sprintf("run %q as a service", name)
	hint := "install ndock into /usr/local/bin, and run that one"
	for _, dir := range hidden {
		if strings.HasPrefix(name, dir) && d.systemd.Root == "" {
			return &registry.Error{Op: op, Err: fmt.Errorf("services do not see %s", strings.TrimSuffix(dir, "/")), Help: hint}
		}
	}
	for at := name; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		if info.Mode()&0o001 == 0 && d.systemd.Root == "" {
			return &registry.Error{Op: op, Err: fmt.Errorf("%q is closed to other users", at), Help: hint}
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// look refuses a machine that has no systemd, or has the registry as a container.
func (d *asService) look(ctx context.Context) (err error) {
	if !d.systemd.there(systemdsOwn) {
		return &registry.Error{
			Op: "deploy the registry as a service", Err: errors.New("systemd does not run on this host"),
			Help: "leave --systemd out for a container; or have 'ndock registry serve' run by what starts services here",
		}
	}
	found, err := inspect(ctx, d.host.Engine)
	switch {
	case noEngine(err): // and none is needed
	case err != nil:
		return err
	case found != nil:
		return otherKind("as a service", "a container of Docker's", "volume "+dataVolume)
	}
	if d.old, err = d.systemd.unit(); err != nil || d.old == nil {
		return err
	}
	d.was, err = d.systemd.show(ctx)
	return err
}

// otherKind is why no registry is deployed beside one of another kind.
func otherKind(as, is, data string) error {
	return &registry.Error{
		Op:   "deploy the registry " + as,
		Err:  fmt.Errorf("it is %s", is),
		Help: "'ndock registry remove' takes that away first; what was pushed stays in " + data + ", and does not move",
	}
}

func (d *asService) listens() string {
	if !d.was.runs() {
		return ""
	}
	said, _ := parseUnit(d.old)
	return said.Listen
}

func (*asService) prepare(context.Context) error { return nil }

func (d *asService) readConfig(context.Context) (err error) {
	d.kept, err = d.systemd.readFiles()
	d.kept = d.kept.settled()
	return err
}

func (d *asService) plan() (err error) {
	d.unit, err = d.unitFile().text()
	return err
}

func (d *asService) upToDate() bool {
	return d.was.runs() && d.was.enabled && bytes.Equal(d.old, d.unit) && d.kept.hold(d.files)
}

// remember keeps the files and the unit that are there beside them, until commit.
func (d *asService) remember() error {
	if d.foundNothing() {
		return nil
	}
	all := maps.Clone(d.kept)
	if d.old != nil {
		all[unitName] = d.old
	}
	before, err := all.remembered()
	if err != nil {
		return err
	}
	return d.systemd.writeFiles(before)
}

func (d *asService) commit(context.Context) error {
	return d.systemd.writeFiles(files{fileBefore: nil})
}

// create ends the service that is there; the new unit stands in its place.
func (d *asService) create(ctx context.Context) error {
	if err := d.ensureUser(ctx); err != nil {
		return err
	}
	if err := d.remember(); err != nil {
		return err
	}
	if d.old != nil {
		d.Report.Step("replacing service %s", serviceName)
		if err := d.systemd.control(ctx, "stop"); err != nil {
			return err
		}
	}
	if err := d.systemd.writeUnit(d.unit); err != nil {
		return err
	}
	return d.systemd.reload(ctx)
}

// ensureUser makes the service's user and group, unless they are there.
func (d *asService) ensureUser(ctx context.Context) error {
	_, err := d.systemd.run(ctx, "systemd-sysusers", "--inline", fmt.Sprintf(`u %s - "ndock registry" /%s`, serviceName, statePath))
	return denied("make user "+serviceName, err)
}

func (d *asService) configure(context.Context) error { return d.systemd.writeFiles(d.files) }

func (d *asService) start(ctx context.Context) error {
	d.started = time.Now()
	if err := d.systemd.control(ctx, "enable"); err != nil {
		return err
	}
	d.systemd.control(ctx, "reset-failed") // which is an error where nothing had failed
	err := d.systemd.control(ctx, "start")
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w%s", err, d.lastWords(ctx))
}

// alive tells why the service ended, if it did. Systemd starts it again and again, so that it may run by now.
func (d *asService) alive(ctx context.Context) error {
	now, err := d.systemd.show(ctx)
	switch {
	case err != nil:
		return err
	case now.restarts == "0" && (now.runs() || now.active == "activating" && now.sub == "start"):
		return nil
	}
	return &registry.Error{
		Op:   "start the registry",
		Err:  fmt.Errorf("it ended with status %s%s", now.status, d.lastWords(ctx)),
		Help: "'journalctl -u " + serviceName + "' says more",
	}
}

func (d *asService) lastWords(ctx context.Context) string {
	return lastSaid(d.systemd.said(ctx, d.started))
}

func (*asService) tidy(context.Context) error { return nil }
