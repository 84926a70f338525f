package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"ndock/openstack/horizon"
	"ndock/openstack/node/system"
)

// dashboard is the step of a controller with Horizon. It installs the customization module for Docker.
type dashboard struct {
	Machine
	did system.Changes // of this run
}

func (d *dashboard) Title() string { return "horizon" }

func (d *dashboard) files() []system.File {
	return []system.File{
		{Path: filepath.Join(d.Layout.Dashboard, "ndock.py"), Content: horizon.Module, Mode: 0o644},
		{Path: filepath.Join(d.Layout.Dashboard, "local_settings.d", "_90_ndock.py"), Content: horizon.Settings, Mode: 0o644},
	}
}

// missing returns the files that are not as they should be, and an error where somebody else wrote one of them.
func (d *dashboard) missing() ([]system.File, error) {
	var missing []system.File
	for _, f := range d.files() {
		same, err := system.Holds(d.Layout.Path(f.Path), f.Content, f.Mode)
		if err != nil {
			return nil, err
		}
		if same {
			continue
		}
		if err := checkHead(d.Layout.Path(f.Path)); err != nil {
			return nil, err
		}
		missing = append(missing, f)
	}
	return missing, nil
}

// checkHead returns an error where a file is there that does not begin as ndock's do.
func checkHead(path string) error {
	content, err := system.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return system.FileError("read", path, err)
	case !bytes.HasPrefix(content, []byte(horizon.Head)):
		return system.Advise(fmt.Errorf("%s is there already and is not ndock's", path), "move it away, then run this again")
	}
	return nil
}

func (d *dashboard) Plan(ctx context.Context) ([]string, error) {
	missing, err := d.missing()
	if err != nil {
		return nil, err
	}
	var plan []string
	for _, f := range missing {
		plan = append(plan, "write "+d.Layout.Path(f.Path))
	}
	old, err := d.isOutdated(ctx)
	if err != nil || len(plan) == 0 && !old {
		return nil, err
	}
	return append(plan, d.restartText()), nil
}

// isOutdated tells whether Horizon still runs without the files: an earlier setup was killed before it restarted the web server.
func (d *dashboard) isOutdated(ctx context.Context) (bool, error) {
	if d.Layout.Web.Name == "" {
		return false, nil
	}
	pid, err := d.Services.PID(ctx, d.Layout.Web)
	if err != nil || pid == 0 {
		return false, err
	}
	var paths []string
	for _, f := range d.files() {
		paths = append(paths, f.Path)
	}
	return system.Outdated(d.Layout.Root, pid, paths)
}

// restartText says how Horizon comes to read the files.
func (d *dashboard) restartText() string {
	if d.Layout.Web.Name == "" {
		return "restart by hand what serves Horizon: there is neither apache2 nor httpd"
	}
	return "restart service " + d.Layout.Web.Name
}

func (d *dashboard) restart(ctx context.Context) error {
	if d.Layout.Web.Name == "" {
		return nil
	}
	return d.Services.Restart(ctx, d.Layout.Web)
}

func (d *dashboard) Do(ctx context.Context) error {
	missing, err := d.missing()
	if err != nil {
		return err
	}
	for _, f := range missing {
		if err := d.did.Write(d.Layout.Path(f.Path), f.Content, f.Mode); err != nil {
			return err
		}
	}
	return d.restart(ctx)
}

// Rollback restores the files of before.
func (d *dashboard) Rollback(ctx context.Context) ([]string, error) {
	if !d.did.Any() {
		return nil, nil
	}
	return []string{"took back what was written, " + d.restartText()}, errors.Join(d.did.Rollback(), d.restart(ctx))
}

// Teardown removes the files, unless somebody else wrote them.
func (d *dashboard) Teardown(ctx context.Context) ([]string, error) {
	var texts []string
	for _, f := range d.files() {
		path := d.Layout.Path(f.Path)
		if !system.BeginsWith(path, horizon.Head) {
			continue
		}
		if err := d.did.Remove(path); err != nil {
			return texts, err
		}
		texts = append(texts, "removed "+path)
	}
	if len(texts) == 0 {
		return nil, nil
	}
	return append(texts, d.restartText()), d.restart(ctx)
}

func (d *dashboard) Detail(context.Context) (string, error) {
	return "Horizon knows Docker images and consoles (" + d.Layout.Path(d.Layout.Dashboard) + ")", nil
}
